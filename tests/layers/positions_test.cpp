#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/positions.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::kFloatingDTypes;
using test::mask_of;
using test::to_doubles;
using test::uniform;

constexpr std::int64_t kFeatures = LayerSample::kFeatures;

const bool kRegistered =
    register_layer(
        {"LearnedPositions", [] { return std::make_unique<LearnedPositions>(8, kFeatures); }}) &&
    register_layer({"SinusoidalPositions", [] { return std::make_unique<SinusoidalPositions>(); }});

// Left padding, a hole within; what exists has the numbers 0, 1, 2, ...
SequenceMask some_mask() { return mask_of({0, 1, 1, 1, 1, 0, 1, 0}, {2, 4}); }
constexpr int kNumbers[] = {-1, 0, 1, 2, 0, -1, 1, -1};

// x + row(number, feature) where a position exists, x elsewhere.
template <class Row>
std::vector<double> expected(const Tensor& x, std::int64_t features, Row row) {
  std::vector<double> y = to_doubles(x);
  const auto width = static_cast<std::size_t>(features);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const int number = kNumbers[i / width];
    if (number >= 0) y[i] += row(static_cast<std::size_t>(number), i % width);
  }
  return y;
}

// What stands in holes does not count.
void expect_kept(const Variable& y, std::vector<double> expected, std::int64_t features) {
  const std::vector<double> actual = to_doubles(y.value());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (kNumbers[i / static_cast<std::size_t>(features)] < 0) expected[i] = actual[i];
  }
  EXPECT_TRUE(is_close(y.value(), expected));
}

TEST(LearnedPositions, AddARowOfTheTableForEachPositionThatExists) {
  for (const DType dtype : kFloatingDTypes) {
    LearnedPositions layer(3, kFeatures);
    const ParameterBuffer parameters(layer, dtype, 1);
    const std::vector<double> table = to_doubles(parameters.named_values().at("table"));
    Random random(1);
    const Tensor x = uniform(random, {2, 4, kFeatures}).to(dtype);
    const Variable y = layer(Variable(x, Variable::kConstant, some_mask()));
    EXPECT_TRUE(y.mask() == some_mask());
    expect_kept(y,
                expected(x, kFeatures,
                         [&](std::size_t p, std::size_t j) { return table[p * kFeatures + j]; }),
                kFeatures);
  }
}

TEST(LearnedPositions, RefuseASequenceThatIsTooLong) {
  LearnedPositions layer(3, kFeatures);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const Tensor x = Tensor::zeros({2, 4, kFeatures}, DType::kFloat64);
  EXPECT_EQ(error_of([&] { layer(Variable(x)); }),
            "[LearnedPositions] has 3 positions, got a sequence of 4");
  EXPECT_EQ(error_of([&] { layer(Variable(x, Variable::kConstant, some_mask())); }), "no error");
  EXPECT_EQ(error_of([&] {
              layer(Variable(Tensor::zeros({2, 4}, DType::kFloat64)));
            }),
            "[LearnedPositions] needs [B, S, D], got (2, 4)");
  EXPECT_EQ(layer(Variable(Tensor::zeros({0, 9, kFeatures}, DType::kFloat64))).shape(),
            (Shape{0, 9, kFeatures}));
  EXPECT_EQ(layer(Variable(Tensor::zeros({2, 0, kFeatures}, DType::kFloat64))).shape(),
            (Shape{2, 0, kFeatures}));
}

TEST(SinusoidalPositions, AddSinesAndCosinesOfEachPositionThatExists) {
  for (const DType dtype : kFloatingDTypes) {
    for (const std::int64_t features : {6, 5, 1}) {
      Random random(1);
      const Tensor x = uniform(random, {2, 4, features}).to(dtype);
      SinusoidalPositions layer(100);
      const Variable y = layer(Variable(x, Variable::kConstant, some_mask()));
      const auto wave = [&](std::size_t p, std::size_t j) {
        const std::size_t pair = j / 2;
        const double angle =
            static_cast<double>(p) /
            std::pow(100.0, 2.0 * static_cast<double>(pair) / static_cast<double>(features));
        return j % 2 == 0 ? std::sin(angle) : std::cos(angle);
      };
      expect_kept(y, expected(x, features, wave), features);
    }
  }
}

TEST(SinusoidalPositions, RefuseABaseThatIsNone) {
  for (const double base : {0.0, -1.0, test::kInf, test::kNaN}) {
    EXPECT_EQ(
        error_of([&] { SinusoidalPositions layer(base); }),
        fmt::format("[SinusoidalPositions] the base must be above 0 and finite, got {}", base));
  }
}

}  // namespace
}  // namespace maskgrad
