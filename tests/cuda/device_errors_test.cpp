// Calls that mix devices, or that no kernel serves: the error names the operation that was called.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/slice.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;

TEST(DeviceErrors, NameTheOperationThatGotTwoDevices) {
  const Variable here(test::make({1, 2}, {2})), there(test::make({1, 2}, {2}).to(kCuda));
  const std::string tail = "got one input on cpu and another on cuda";
  EXPECT_EQ(error_of([&] { ops::concat({here, there}, 0); }), "[concat] " + tail);
  const Tensor first = test::bits({1, 1, 0, 0}, {4}), rest = test::bits({0, 0, 1, 1}, {4});
  EXPECT_EQ(error_of([&] {
              ops::boolean_unmask(std::vector{first, rest}, std::vector{here, there});
            }),
            "[boolean_unmask] " + tail);
}

TEST(DeviceErrors, NameTheOperationThatHasNoKernel) {
  const Variable x(test::make({1, 2, 3, 4}, {2, 2}).to(kCuda));
  EXPECT_EQ(error_of([&] { ops::split(x, {1, 1}, 0); }), "[split] has no CUDA kernel");
  EXPECT_EQ(error_of([&] { ops::slice(x, 0, 1); }), "[slice] has no CUDA kernel");
  EXPECT_EQ(error_of([&] { ops::concat({x, x}, 0); }), "[concat] has no CUDA kernel");
  EXPECT_EQ(error_of([&] {
              ops::fill_where(x, ops::Upper{}, {1, 2, 2, 1});
            }),
            "[sequence_mask] has no CUDA kernel");
}

}  // namespace
}  // namespace maskgrad
