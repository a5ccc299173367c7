// A value that gradients can flow to.
#pragma once

#include <optional>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// Where the gradient of one value gathers during a backward pass.
struct GradSlot final : RefCounted {
  GradSlot(const Tensor& value, SequenceMask mask_of_value, std::uint64_t tape_of_value)
      : shape(value.shape()),
        dtype(value.dtype()),
        device(value.device()),
        mask(std::move(mask_of_value)),
        tape(tape_of_value) {}

  Shape shape;
  DType dtype;
  Device device;
  SequenceMask mask;   // gradients at its holes are dropped
  std::uint64_t tape;  // the tape that recorded the value; 0 for a leaf
  Tensor grad;         // undefined until something arrives, unless a buffer was bound to a leaf
  bool has_grad = false;
  bool is_bound = false;     // `grad` is a view into somebody's flat buffer
  bool is_constant = false;  // takes no gradient: on a tape that traces, for what its mask says

  // The rows of a bound `grad` that may hold something else than 0; every other row holds 0. Not
  // known unless the last to write was a rule that named its rows, and nobody else can have written
  // since.
  std::optional<PoolVector<std::int64_t>> dirty_rows;
  /// Sets a bound `grad` to 0: on the CPU, where they are known, its dirty rows alone.
  void clear_buffer();
};

/// A tensor, the sequence mask that follows it, and the slot its gradient goes to. Copies are
/// handles of the same value. Made by operations, or as a leaf by hand:
///   Variable weight(Tensor::zeros({4, 3}, DType::kFloat32), Variable::kRequiresGrad);
class Variable {
 public:
  enum Grad : bool { kConstant = false, kRequiresGrad = true };

  Variable() = default;
  /// A leaf. Throws Error for a tensor without a value, and when a gradient is asked for one that
  /// is not floating.
  explicit Variable(Tensor value, Grad grad = kConstant, SequenceMask mask = {});

  bool defined() const { return value_.defined(); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  int rank() const { return value_.rank(); }
  std::int64_t dim(int axis) const { return value_.dim(axis); }
  DType dtype() const { return value_.dtype(); }
  Device device() const { return value_.device(); }
  double item() const { return value_.item(); }

  /// The positions [B, S] of this value that exist; undefined when nothing is known of any hole.
  const SequenceMask& mask() const { return mask_; }
  bool requires_grad() const { return static_cast<bool>(slot_); }
  /// Which value this is a handle of, for checks that walk a tape; null for a constant.
  const Ref<GradSlot>& slot() const { return slot_; }

  /// The gradient that backward passes left in a leaf, since it was last cleared; undefined when
  /// none has arrived. It may be written to until the next pass, and shares no memory with another
  /// gradient or with what backward() was given: a leaf that gives its gradient away forgets which
  /// rows are 0. Throws Error for a value that takes none.
  Tensor grad() const;
  void clear_grad();

  /// Leaves only: moves the value into `value` and lets gradients gather in `grad`, two views of
  /// this leaf's shape and dtype, usually into the flat buffers of a whole model. The two are on
  /// one device, where the leaf is from then on. Throws Error when a copy of this handle or a tape
  /// holds the leaf: it would keep the old value.
  void bind(Tensor value, Tensor grad);

 private:
  friend class Tape;
  friend Variable drop_mask(const Variable& x);

  Tensor value_;
  SequenceMask mask_;
  Ref<GradSlot> slot_;
};

/// The same value without its mask, said on purpose: from here on every position counts, forward
/// and backward. Behind a product, not before it: the gradient of a matrix reads every row. No
/// gradient comes back to the places that were masked where the value was made.
Variable drop_mask(const Variable& x);

}  // namespace maskgrad
