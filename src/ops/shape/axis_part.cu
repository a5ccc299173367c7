#include <maskgrad/ops/cuda/strided_copy.hpp>
#include <maskgrad/ops/shape/around.hpp>
#include <maskgrad/ops/shape/axis_part.hpp>

namespace maskgrad::ops {
namespace {

void copy_part(Copies way, const AxisPart& part, const Tensor& from, Tensor& to) {
  const bool to_part = way == Copies::kToPart;
  const Around whole = around((to_part ? from : to).shape(), part.axis);
  StridedCopy copy;
  (to_part ? copy.from : copy.to) = part.begin * whole.inner;
  const auto add = [&](std::int64_t size, std::int64_t in_whole, std::int64_t in_part) {
    copy.walk.add(size, {to_part ? in_whole : in_part, to_part ? in_part : in_whole});
  };
  add(whole.inner, 1, 1);
  add(part.count, part.step * whole.inner, whole.inner);
  add(whole.outer, whole.along * whole.inner, part.count * whole.inner);
  copy_strided("part", copy, from, to);
}

const bool kFilled =
    kConcatCuda.fill(copy_part) && kSliceCuda.fill(copy_part) && kSplitCuda.fill(copy_part);

}  // namespace
}  // namespace maskgrad::ops
