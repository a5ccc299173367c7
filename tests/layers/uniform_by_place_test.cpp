#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/uniform_by_place.hpp>

#include "support/errors.hpp"
#include "support/masks.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::to_doubles;
using ::testing::ElementsAre;

Variable masked(const std::vector<double>& bits, const Shape& shape) {
  return Variable(Tensor::zeros(shape, DType::kFloat32), Variable::kConstant,
                  test::mask_of(bits, shape));
}

Tensor draw(const Variable& x, std::uint64_t step = 4, const char* use = "drops") {
  Pass pass = Pass::training(9, step);
  return uniform_by_place(x, pass, use);
}

TEST(UniformByPlace, IsUniformAndItsOwnInEachStepAndForEachUse) {
  const Variable x(Tensor::zeros({40, 500}, DType::kFloat32));
  const std::vector<double> u = to_doubles(draw(x));
  double sum = 0, squares = 0;
  for (const double number : u) {
    ASSERT_TRUE(number >= 0 && number < 1);
    sum += number;
    squares += number * number;
  }
  const double n = 20'000, mean = sum / n;
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(1 / 12.0 / n));
  EXPECT_NEAR(squares / n - mean * mean, 1 / 12.0, 0.003);
  EXPECT_EQ(to_doubles(draw(x)), u);
  EXPECT_NE(to_doubles(draw(x, 5)), u);
  EXPECT_NE(to_doubles(draw(x, 4, "fades")), u);
}

TEST(UniformByPlace, StaysWithThePositionWhateverPaddingStandsAround) {
  const std::vector<double> close = to_doubles(draw(masked({1, 1, 0, 1, 1, 1}, {2, 3})));
  const std::vector<double> wide = to_doubles(draw(masked({0, 1, 0, 1, 0, 1, 0, 1, 1, 0}, {2, 5})));
  EXPECT_THAT(wide, ElementsAre(0, close[0], 0, close[1], 0, close[3], 0, close[4], close[5], 0));
}

TEST(UniformByPlace, DrawsInTrainingOnly) {
  Pass pass;
  EXPECT_NE(error_of([&] { uniform_by_place(masked({1}, {1, 1}), pass, "drops"); }), "no error");
}

}  // namespace
}  // namespace maskgrad
