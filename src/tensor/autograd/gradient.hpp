// Where the gradient of one value gathers.
#pragma once

#include <optional>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// The gradient of one value: its memory, what has arrived in it, and what the next pass must
/// clear. Each value that takes a gradient has one Gradient. Checks that walk a tape tell values
/// apart by it.
///
/// A leaf's gradient may be bound to a view into a flat buffer. Then arriving gradients are added
/// there. If a rule names the rows that it writes, the next pass clears those rows alone.
class Gradient final : public RefCounted {
 public:
  static constexpr std::uint64_t kLeaf = 0;

  /// The gradient of `value`, which tape number `tape` recorded, or which is a leaf (kLeaf).
  Gradient(const Tensor& value, SequenceMask mask, std::uint64_t tape = kLeaf)
      : shape_(value.shape()),
        dtype_(value.dtype()),
        device_(value.device()),
        mask_(std::move(mask)),
        tape_(tape) {}

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  /// The mask of the value. What arrives at its holes is dropped.
  const SequenceMask& mask() const { return mask_; }
  std::uint64_t tape() const { return tape_; }
  bool is_leaf() const { return tape_ == kLeaf; }
  /// Whether no gradient can arrive. On a tape that traces, a constant has a Gradient too, which
  /// keeps its mask.
  bool is_constant() const { return is_constant_; }
  void set_constant(bool is_constant) { is_constant_ = is_constant; }

  /// Whether something has arrived since clear().
  bool has_arrived() const { return has_arrived_; }
  /// The sum of what has arrived. Meaningless when nothing has.
  const Tensor& sum() const { return sum_; }

  /// Binds this gradient to `buffer`: arriving gradients are added there. Requires a buffer of
  /// shape() and dtype(). The gradient is on the buffer's device from then on.
  void bind(Tensor buffer);
  /// Memory of shape() for a rule to write to, contents undefined. It is the bound buffer when
  /// nothing has arrived there and the rule gives this value one gradient only (`is_alone`).
  Tensor claim(bool is_alone);
  /// The same, holding 0, for a rule that writes to these rows of the first dimension only.
  Tensor claim_rows(bool is_alone, PoolVector<std::int64_t> rows);
  /// Adds the gradient that `op` gave for its input number `input`. Sums over dimensions that were
  /// broadcast, and writes 0 into the holes of a leaf. Throws Error when `grad` is undefined, and
  /// when its shape, dtype or device does not fit.
  void add(const char* op, std::size_t input, Tensor grad);
  /// The sum, for others to write to; undefined when nothing has arrived.
  Tensor give();
  /// Returns the sum with 0 in its holes, and keeps it no longer. Requires has_arrived().
  Tensor take();

  /// Resets has_arrived() to false.
  void clear();
  /// To be called when somebody else may have written to the buffer.
  void forget_rows() { dirty_rows_.reset(); }
  /// To be called when somebody else has written the sum into the buffer.
  void set_arrived();
  /// Writes 0 into a bound buffer when nothing has arrived.
  void complete();

 private:
  void check_fits(const char* op, std::size_t input, const Tensor& grad) const;
  void clear_buffer();

  Shape shape_;
  DType dtype_;
  Device device_;
  SequenceMask mask_;
  std::uint64_t tape_;
  bool is_constant_ = false;

  Tensor sum_;  // undefined until something arrives, unless bound
  bool has_arrived_ = false;
  bool is_bound_ = false;
  // The rows of a bound sum that may hold something else than 0; every other row holds 0. Known
  // when the last to write was a rule that named its rows, and nobody else can have written since.
  std::optional<PoolVector<std::int64_t>> dirty_rows_;
};

}  // namespace maskgrad
