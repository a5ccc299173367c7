// Where the gradient of one value gathers.
#pragma once

#include <optional>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// The gradient of one value: alone knows where its memory is, what has arrived in it, and what has
/// to be cleared before the next pass. Checks that walk a tape tell values apart by it.
///
/// A leaf's gradient may be bound to a view into a flat buffer. Then arriving gradients gather
/// there, and the rows that hold something else than 0 are remembered where they are known: the
/// next pass clears those alone.
class Gradient final : public RefCounted {
 public:
  static constexpr std::uint64_t kLeaf = 0;

  /// Of a value that tape number `tape` recorded, or of a leaf.
  Gradient(const Tensor& value, SequenceMask mask, std::uint64_t tape = kLeaf)
      : shape_(value.shape()),
        dtype_(value.dtype()),
        device_(value.device()),
        mask_(std::move(mask)),
        tape_(tape) {}

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  /// What arrives at its holes is dropped.
  const SequenceMask& mask() const { return mask_; }
  std::uint64_t tape() const { return tape_; }
  bool is_leaf() const { return tape_ == kLeaf; }
  /// Whether nothing can arrive: on a tape that traces, values have one for what their mask says.
  bool is_constant() const { return is_constant_; }
  void set_constant(bool is_constant) { is_constant_ = is_constant; }

  /// Whether something has arrived since clear().
  bool has_arrived() const { return has_arrived_; }
  /// The sum of what has arrived. Meaningless when nothing has.
  const Tensor& sum() const { return sum_; }

  /// Lets it gather in `buffer`, a view of its shape and dtype, on the buffer's device.
  void bind(Tensor buffer);
  /// Memory of its shape for a rule to write to, contents undefined. The place where it gathers
  /// when that is bound, nothing has arrived, and the rule gives nothing else to it (`is_alone`).
  Tensor claim(bool is_alone);
  /// The same holding 0, for a rule that writes to these rows of the first dimension only.
  Tensor claim_rows(bool is_alone, PoolVector<std::int64_t> rows);
  /// Adds what `op` gave for its input number `input`. Sums what was broadcast; drops what stands
  /// in a leaf's holes. Throws Error when shape, dtype or device do not fit.
  void add(const char* op, std::size_t input, Tensor grad);
  /// The sum for others to write to; undefined when nothing has arrived.
  Tensor give();
  /// The sum with its holes dropped, which this then holds no longer. Something has arrived.
  Tensor take();

  /// Nothing has arrived from here on.
  void clear();
  /// Somebody else may have written to the buffer.
  void forget_rows() { dirty_rows_.reset(); }
  /// Somebody else has written the sum into the buffer.
  void set_arrived();
  /// Makes a bound sum 0 when nothing has arrived.
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
