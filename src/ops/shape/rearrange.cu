#include <maskgrad/ops/cuda/strided_copy.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad::ops {
namespace {

void permute_on_device(std::span<const std::int64_t> axes, const Tensor& x, Tensor& y) {
  StridedCopy copy;
  std::int64_t in_y = 1;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    const auto along = static_cast<int>(*axis);
    copy.walk.add(x.shape()[along], {x.shape().slice(along + 1, x.rank()).numel(), in_y});
    in_y *= x.shape()[along];
  }
  copy_strided("permute", copy, x, y);
}

const bool kFilled = kPermuteCuda.fill(permute_on_device);
const SharedKernels kReshape("reshape");  // which moves nothing

}  // namespace
}  // namespace maskgrad::ops
