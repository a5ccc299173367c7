// A value that gradients can flow to.
#pragma once

#include <iosfwd>
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
  /// A leaf. Throws Error for a tensor without a value, for kRequiresGrad unless the tensor is
  /// floating, and when its shape does not begin with the mask's [B, S].
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
  /// The gradient of this value, which handles of the same value share; null for a constant. For
  /// checks that walk a tape.
  const Gradient* gradient() const { return gradient_.get(); }

  /// The sum of the gradients that backward passes gave a leaf since it was last cleared; undefined
  /// when none has arrived. The caller may write to it until the next pass. It shares no memory
  /// with another gradient or with an argument of backward(). Throws Error for a value that takes
  /// none.
  Tensor grad() const;
  /// Clears the gradient. Throws Error for a value that takes none.
  void clear_grad();

  /// Copies the leaf's value into `value`, and lets its gradients be added up in `grad`. Both are
  /// usually views into the flat buffers of a whole model. The leaf is on their device from then
  /// on. Returns the gradient, which the owner of the buffers completes and clears. Throws Error
  /// unless this is a leaf that takes a gradient, both tensors have its shape and dtype, and they
  /// are on one device. Throws Error when a copy of this handle or a tape holds the leaf, as that
  /// would keep the old value.
  Ref<Gradient> bind(Tensor value, Tensor grad);

 private:
  friend class Tape;
  friend class Recorder;
  friend class FirstRun;
  friend Variable drop_mask(const Variable& x);

  Tensor value_;
  SequenceMask mask_;
  Ref<Gradient> gradient_;
};

/// Prints the value, as print.hpp prints tensors.
std::ostream& operator<<(std::ostream& out, const Variable& x);

/// A leaf under the name that a report gives it.
struct NamedLeaf {
  std::string name;
  Variable leaf;
};

/// The same value without its mask. From here on every position counts, forward and backward. The
/// gradient of a matrix reads every row of the other factor, so drop a mask after a product, not
/// before it. The holes of x still get no gradient. Throws Error when x has no value.
Variable drop_mask(const Variable& x);

}  // namespace maskgrad
