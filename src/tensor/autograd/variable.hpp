// A value that gradients can flow to.
#pragma once

#include <string>

#include <maskgrad/tensor/autograd/gradient.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// A tensor, the sequence mask that follows it, and where its gradient gathers. Copies are
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
  bool requires_grad() const { return static_cast<bool>(gradient_); }
  /// Where its gradient gathers, and which value this is a handle of, for checks that walk a tape;
  /// null for a constant.
  const Gradient* gradient() const { return gradient_.get(); }

  /// The gradient that backward passes left in a leaf, since it was last cleared; undefined when
  /// none has arrived. It may be written to until the next pass, and shares no memory with another
  /// gradient or with what backward() was given. Throws Error for a value that takes none.
  Tensor grad() const;
  void clear_grad();

  /// Leaves only: moves the value into `value` and lets gradients gather in `grad`, two views of
  /// this leaf's shape and dtype, usually into the flat buffers of a whole model. The two are on
  /// one device, where the leaf is from then on. Returns the gradient, for whoever owns the buffers
  /// to complete and clear. Throws Error when a copy of this handle or a tape holds the leaf: it
  /// would keep the old value.
  Ref<Gradient> bind(Tensor value, Tensor grad);

 private:
  friend class Tape;
  friend class Recorder;
  friend Variable drop_mask(const Variable& x);

  Tensor value_;
  SequenceMask mask_;
  Ref<Gradient> gradient_;
};

/// A leaf under the name that a report gives it.
struct NamedLeaf {
  std::string name;
  Variable leaf;
};

/// The same value without its mask, said on purpose: from here on every position counts, forward
/// and backward. Behind a product, not before it: the gradient of a matrix reads every row. No
/// gradient comes back to the places that were masked where the value was made.
Variable drop_mask(const Variable& x);

}  // namespace maskgrad
