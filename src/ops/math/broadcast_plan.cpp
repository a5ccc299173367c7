#include <maskgrad/ops/math/broadcast_plan.hpp>

namespace maskgrad::ops {

BroadcastPlan::BroadcastPlan(const char* name, const Shape& a, const Shape& b)
    : output_(broadcast(name, a, b)) {
  for (int axis = 0; axis < output_.rank(); ++axis) {
    const int from_end = output_.rank() - axis;
    const Axis next = {output_[axis],
                       from_end <= a.rank() && a[a.rank() - from_end] == output_[axis],
                       from_end <= b.rank() && b[b.rank() - from_end] == output_[axis]};
    if (next.size == 1) continue;
    Axis* last = count_ ? &axes_[static_cast<std::size_t>(count_ - 1)] : nullptr;
    if (last && last->a == next.a && last->b == next.b)
      last->size *= next.size;
    else
      axes_[static_cast<std::size_t>(count_++)] = next;
  }
  // A block needs two axes; those added in front step over nothing.
  while (count_ < 2) {
    for (int i = count_; i > 0; --i) {
      axes_[static_cast<std::size_t>(i)] = axes_[static_cast<std::size_t>(i - 1)];
    }
    axes_[0] = Axis{};
    ++count_;
  }
}

BroadcastPlan::Steps BroadcastPlan::steps(int axis) const {
  Steps step;
  for (int i = axis + 1; i < count_; ++i) {
    const Axis& inner = axes_[static_cast<std::size_t>(i)];
    if (inner.a) step.a *= inner.size;
    if (inner.b) step.b *= inner.size;
    step.y *= inner.size;
  }
  return step;
}

}  // namespace maskgrad::ops
