// How shapes are walked together under broadcasting. Internal to src/ops.
#pragma once

#include <array>
#include <initializer_list>

#include <maskgrad/tensor/shape.hpp>

namespace maskgrad::ops {

/// The dimensions of operands that broadcast. Neighbours are merged where each operand has both or
/// neither, so that most shapes come down to one or two. The last is the columns; the others
/// together count the rows.
class BroadcastPlan {
 public:
  static constexpr std::size_t kMostOperands = 3;

  /// Throws Error "[name] shapes do not broadcast: (2, 3) and (4,)".
  BroadcastPlan(const char* name, std::initializer_list<const Shape*> operands);
  BroadcastPlan(const char* name, const Shape& a, const Shape& b) : BroadcastPlan(name, {&a, &b}) {}

  const Shape& output() const { return output_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  /// Whether an operand has an element for each column; else one stands for all columns of a row.
  bool has_columns(std::size_t operand) const { return has_columns_[operand]; }

  /// A row of the output, which goes from one to the next.
  class Row {
   public:
    /// Where the operand's part of this row begins, in elements.
    std::int64_t offset(std::size_t operand) const { return offsets_[operand]; }
    /// To the next row. Not to be called on the last one.
    void next() {
      int axis = plan_->count_ - 1;
      while (++index_[static_cast<std::size_t>(axis)] == plan_->axis(axis).size) {
        step(axis, 1 - plan_->axis(axis).size);
        index_[static_cast<std::size_t>(axis--)] = 0;
      }
      step(axis, 1);
    }

   private:
    friend class BroadcastPlan;
    void step(int axis, std::int64_t times) {
      for (std::size_t operand = 0; operand < kMostOperands; ++operand) {
        offsets_[operand] += times * plan_->axis(axis).steps[operand];
      }
    }

    const BroadcastPlan* plan_ = nullptr;
    std::array<std::int64_t, Shape::kMaxRank> index_{};
    std::array<std::int64_t, kMostOperands> offsets_{};
  };
  /// Row `index` of rows(). The plan must outlive it.
  Row row(std::int64_t index) const;

  /// For two operands: calls f(offset in a, offset in b, offset in the output) for each element of
  /// the output, in order.
  template <class F>
  void for_each_element(F&& f) const {
    if (output_.numel() == 0) return;
    Row here = row(0);
    for (std::int64_t i = 0, y = 0; i < rows_; ++i) {
      if (i > 0) here.next();
      for (std::int64_t j = 0; j < columns_; ++j, ++y) {
        f(here.offset(0) + (has_columns_[0] ? j : 0), here.offset(1) + (has_columns_[1] ? j : 0),
          y);
      }
    }
  }

 private:
  // Of the rows, the outermost first. steps: elements of each operand in one step, 0 where it does
  // not have this axis.
  struct Axis {
    std::int64_t size = 1;
    std::array<std::int64_t, kMostOperands> steps{};
  };
  const Axis& axis(int i) const { return axes_[static_cast<std::size_t>(i)]; }

  Shape output_;
  std::int64_t rows_ = 1, columns_ = 1;
  std::array<bool, kMostOperands> has_columns_;
  std::array<Axis, Shape::kMaxRank> axes_;
  int count_ = 0;  // axes of rows
};

}  // namespace maskgrad::ops
