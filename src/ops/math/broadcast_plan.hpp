// How two shapes are walked together under broadcasting.
#pragma once

#include <array>

#include <maskgrad/tensor/shape.hpp>

namespace maskgrad::ops {

/// The dimensions of broadcast(a, b), neighbours merged where both operands step alike, so that
/// most pairs of shapes come down to one or two. The last two are a block for a kernel; the plan
/// walks the rest.
class BroadcastPlan {
 public:
  struct Axis {
    std::int64_t size = 1;
    bool a = true;  // operand a has this dimension (else it repeats along it)
    bool b = true;
  };

  BroadcastPlan(const char* name, const Shape& a, const Shape& b);

  const Shape& output() const { return output_; }
  const Axis& outer() const { return axes_[static_cast<std::size_t>(count_ - 2)]; }
  const Axis& inner() const { return axes_[static_cast<std::size_t>(count_ - 1)]; }

  /// Calls f(offset in a, offset in b, offset in the output) for each block, in elements.
  template <class F>
  void for_each_block(F&& f) const {
    if (output_.numel() > 0) walk(0, 0, 0, 0, f);
  }

  /// Calls f(offset in a, offset in b, offset in the output) for each element of the output.
  template <class F>
  void for_each_element(F&& f) const {
    const Axis& rows = outer();
    const Axis& columns = inner();
    for_each_block([&](std::int64_t a, std::int64_t b, std::int64_t y) {
      for (std::int64_t row = 0; row < rows.size; ++row) {
        for (std::int64_t j = 0; j < columns.size; ++j, ++y) {
          f(a + (columns.a ? j : 0), b + (columns.b ? j : 0), y);
        }
        if (rows.a) a += columns.a ? columns.size : 1;
        if (rows.b) b += columns.b ? columns.size : 1;
      }
    });
  }

 private:
  // Elements of an operand (or, with both, of the output) in one step of `axis`.
  struct Steps {
    std::int64_t a = 1, b = 1, y = 1;
  };
  Steps steps(int axis) const;

  template <class F>
  void walk(int axis, std::int64_t a, std::int64_t b, std::int64_t y, F& f) const {
    if (axis == count_ - 2) return f(a, b, y);
    const Steps step = steps(axis);
    const Axis& here = axes_[static_cast<std::size_t>(axis)];
    for (std::int64_t i = 0; i < here.size; ++i) {
      walk(axis + 1, a + (here.a ? i * step.a : 0), b + (here.b ? i * step.b : 0), y + i * step.y,
           f);
    }
  }

  Shape output_;
  std::array<Axis, Shape::kMaxRank + 2> axes_;
  int count_ = 0;
};

}  // namespace maskgrad::ops
