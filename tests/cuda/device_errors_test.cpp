// Calls that mix devices, or that no kernel serves: the error names the operation that was called.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/shape/axis_part.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/row_moves.hpp>

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
  static constinit ops::PartKernel of_parts{"parts"};
  static constinit ops::RowKernel of_rows{"rows"};
  const Tensor x = test::make({1, 2, 3, 4}, {2, 2}).to(kCuda);
  const std::int64_t row = 1;
  EXPECT_EQ(error_of([&] {
              ops::take_part(of_parts, {0, 1, 1, 1}, x);
            }),
            "[parts] has no CUDA kernel");
  EXPECT_EQ(error_of([&] { ops::take_rows(of_rows, x, {&row, 1}); }), "[rows] has no CUDA kernel");
}

}  // namespace
}  // namespace maskgrad
