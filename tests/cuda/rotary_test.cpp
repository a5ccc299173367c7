// Rotary embedding on a device.
#include <gmock/gmock.h>

#include <maskgrad/ops/nn/rotary.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using Inputs = std::vector<Variable>;

class CudaRotary : public test::Draws<::testing::TestWithParam<ops::RotaryPairs>> {
 protected:
  ops::RotaryOptions options(std::int64_t heads) const {
    return {.heads = heads, .pairs = GetParam(), .base = 500};
  }
};

TEST_P(CudaRotary, HasTheBitsOfTheCpu) {
  // Few numbers, of which positions share angles, and many.
  for (const std::int64_t below : {4, 1'000'000}) {
    for (const std::int64_t heads : {1, 3}) {
      const Tensor each = draw_indices({2, 17}, below),
                   shared = draw_indices({1, 17}, below).to(DType::kInt32);
      for (const Tensor& positions : {each, shared}) {
        const auto f = [&](const Inputs& x) {
          return ops::rotary_embedding(x[0], positions, options(heads));
        };
        test::expect_bits_of_the_cpu(f, {draw({2, 17, heads * 10})});
      }
    }
  }
}

TEST_P(CudaRotary, RotatesNothing) {
  for (const Shape& shape : {Shape{0, 2, 4}, Shape{2, 0, 4}, Shape{2, 2, 0}}) {
    const Tensor positions = draw_indices({1, shape[1]}, 5);
    const auto f = [&](const Inputs& x) {
      return ops::rotary_embedding(x[0], positions, options(1));
    };
    test::expect_bits_of_the_cpu(f, {draw(shape)});
  }
}

TEST_P(CudaRotary, ReadsNothingInHoles) {
  const SequenceMask mask(test::bits({1, 0, 1, 0, 0, 1}, {2, 3}));
  Tensor x = draw({2, 3, 8}), positions = draw_indices({2, 3}, 9);
  fill_holes(positions, mask, -5);
  const auto f = [&](const Inputs& in) {
    return ops::rotary_embedding(in[0], positions, options(2));
  };
  fill_holes(x, mask, 0);
  const auto wanted = test::run_on(Device{}, f, {x}, {}, mask);
  for (const double poison : {test::kNaN, test::kInf}) {
    fill_holes(x, mask, poison);
    test::in_each_order([&] {
      const auto got = test::run_on(kCuda, f, {x}, {}, mask);
      EXPECT_TRUE(test::same_bits(got[0], wanted[0]));
      EXPECT_TRUE(test::same_bits(got[1], wanted[1]));
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Pairs, CudaRotary,
                         ::testing::Values(ops::RotaryPairs::kInterleaved,
                                           ops::RotaryPairs::kHalves));

}  // namespace
}  // namespace maskgrad
