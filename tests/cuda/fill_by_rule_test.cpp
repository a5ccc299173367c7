// Scores that are filled by a rule of row and column, on a device.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/fill_by_rule.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"
#include "cuda/own_functors.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::expect_bits_of_the_cpu;
using test::kCuda;
using test::kInf;
using test::kNaN;
using test::to_doubles;
using ::testing::ElementsAre;
using Inputs = std::vector<Variable>;

class CudaFillByRule : public test::Draws<> {};

// The same bits as on the CPU, whose decisions other tests compare with the definition.
TEST_F(CudaFillByRule, FillsInEachMode) {
  const Tensor of_rows = Tensor::from<std::int64_t>({3, -1, 0, 70, 12, 1}, {6});
  for (const char* mode : {"sequence", "window", "upper", "lower", "upperdiag", "lowerdiag"}) {
    const bool takes_rows = std::string_view(mode) == "sequence" || mode[0] == 'w';
    const Tensor given = takes_rows ? of_rows.to(DType::kInt32) : Tensor();
    SCOPED_TRACE(mode);
    const auto f = [&](const Inputs& x) {
      return ops::sequence_mask(x[0], mode, given,
                                {.axis = 2, .batch = 0, .radius = 2, .fill_value = 0.1});
    };
    expect_bits_of_the_cpu(f, {draw({3, 6, 70})});
  }
  const auto repeats = [&](const Inputs& x) {
    return ops::sequence_mask(x[0], "sequence", of_rows, {.axis = 1, .repeat_from_axis = 2});
  };
  expect_bits_of_the_cpu(repeats, {draw({6, 50, 3})});
}

TEST_F(CudaFillByRule, RunsTheKernelOfAnotherFunctor) {
  EXPECT_TRUE(KernelSlot::any_of("sequence_mask"));
  for (const std::int64_t width : {1, 5}) {
    const auto f = [&](const Inputs& x) {
      return ops::fill_where(x[0], test::Stripes{width}, {2, 20, 30, 2}, 7);
    };
    expect_bits_of_the_cpu(f, {draw({2, 20, 30, 2})});
  }
  const Variable x(draw({2, 3}).to(kCuda));
  const Tensor filled = ops::decisions(x, test::Stripes{1}, {1, 2, 3, 1});
  EXPECT_EQ(filled.device(), kCuda);
  EXPECT_THAT(to_doubles(filled.to(Device{})), ElementsAre(0, 1, 0, 1, 0, 1));
  EXPECT_EQ(test::error_of([&] {
              ops::fill_where(x, test::Nothing{}, {1, 2, 3, 1});
            }),
            "[sequence_mask] has no CUDA kernel");
}

TEST_F(CudaFillByRule, NeverReadsWhatItFills) {
  const Variable x = test::leaf(test::make({1, kNaN, kInf, 4}, {2, 2}).to(kCuda));
  Tape tape;
  const Variable y = ops::fill_where(x, test::Stripes{1}, {1, 2, 2, 1}, 9);
  tape.backward(y, test::make({5, kNaN, -kInf, 6}, {2, 2}).to(kCuda));
  EXPECT_THAT(to_doubles(y.value().to(Device{})), ElementsAre(1, 9, 9, 4));
  EXPECT_THAT(to_doubles(x.grad().to(Device{})), ElementsAre(5, 0, 0, 6));
}

TEST_F(CudaFillByRule, TakesDecisionsOfTheHostAndOfTheDevice) {
  const Tensor filled = test::bits({0, 1, 1, 0, 0, 1}, {2, 3});
  const ops::MaskLayout layout = {4, 2, 3, 1};
  const auto f = [&](const Inputs& x) { return ops::fill_by_rows(x[0], filled, layout, -1); };
  expect_bits_of_the_cpu(f, {draw({4, 2, 3})});
  const Tensor x = draw({4, 2, 3});
  const Variable there(x.to(kCuda));
  const Variable y = ops::fill_by_rows(there, filled.to(kCuda), layout, -1);
  EXPECT_TRUE(is_identical(y.value().to(Device{}),
                           ops::fill_by_rows(Variable(x), filled, layout, -1).value()));
  EXPECT_EQ(test::error_of([&] { ops::fill_by_rows(Variable(x), filled.to(kCuda), layout, -1); }),
            "[sequence_mask] got one input on cpu and another on cuda");
  const Variable floats(x.to(DType::kFloat32).to(kCuda));
  EXPECT_EQ(test::error_of([&] { ops::fill_by_rows(floats, filled, layout, 1e39); }),
            "[sequence_mask] fill_value 1e+39 is no float32");
}

TEST_F(CudaFillByRule, FillsNothing) {
  for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}}) {
    const auto f = [](const Inputs& x) { return ops::sequence_mask(x[0], "upper", {}); };
    expect_bits_of_the_cpu(f, {draw(shape)});
  }
}

}  // namespace
}  // namespace maskgrad
