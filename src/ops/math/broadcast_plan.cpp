#include <algorithm>

#include <maskgrad/ops/math/broadcast_plan.hpp>

namespace maskgrad::ops {
namespace {

using Has = std::array<bool, BroadcastPlan::kMostOperands>;

Shape common_shape(const char* name, std::initializer_list<const Shape*> operands) {
  Shape common = **operands.begin();
  for (const Shape* shape : operands) common = broadcast(name, common, *shape);
  return common;
}

// Which operands have this axis of the output; those that are not there have all.
Has who_has(std::initializer_list<const Shape*> operands, const Shape& output, int axis) {
  Has has;
  has.fill(true);
  const int from_end = output.rank() - axis;
  bool* next = has.data();
  for (const Shape* shape : operands) {
    *next++ = from_end <= shape->rank() && (*shape)[shape->rank() - from_end] == output[axis];
  }
  return has;
}

}  // namespace

BroadcastPlan::BroadcastPlan(const char* name, std::initializer_list<const Shape*> operands)
    : output_(common_shape(name, operands)) {
  std::array<Has, Shape::kMaxRank> has;
  for (int i = 0; i < output_.rank(); ++i) {
    if (output_[i] == 1) continue;
    const Has here = who_has(operands, output_, i);
    if (count_ > 0 && has[static_cast<std::size_t>(count_ - 1)] == here) {
      axes_[static_cast<std::size_t>(count_ - 1)].size *= output_[i];
    } else {
      has[static_cast<std::size_t>(count_)] = here;
      axes_[static_cast<std::size_t>(count_++)].size = output_[i];
    }
  }
  has_columns_.fill(true);
  if (count_ == 0) return;
  has_columns_ = has[static_cast<std::size_t>(--count_)];
  columns_ = axis(count_).size;
  for (std::size_t operand = 0; operand < kMostOperands; ++operand) {
    std::int64_t step = has_columns_[operand] ? columns_ : 1;
    for (int i = count_; i-- > 0;) {
      if (!has[static_cast<std::size_t>(i)][operand]) continue;
      axes_[static_cast<std::size_t>(i)].steps[operand] = step;
      step *= axis(i).size;
    }
  }
  for (int i = 0; i < count_; ++i) rows_ *= axis(i).size;
}

BroadcastPlan::Row BroadcastPlan::row(std::int64_t index) const {
  Row row;
  row.plan_ = this;
  for (int i = count_; i-- > 0;) {
    row.index_[static_cast<std::size_t>(i)] = index % axis(i).size;
    row.step(i, index % axis(i).size);
    index /= axis(i).size;
  }
  return row;
}

}  // namespace maskgrad::ops
