// Values that gradient rules read.
#pragma once

#include <maskgrad/tensor/autograd/watched.hpp>

namespace maskgrad {

struct OpDef;

/// A value that an operation keeps for its gradient rule:
///   [b = Saved(kMultiply, "b", b.value())](const Tensor& g, Gradients& grads) {
///     grads.set(0, times(g, *b));
///   }
class Saved {
 public:
  /// Holds no value. Requires that it is not read.
  Saved() = default;
  /// `name` is that of an input or output of the operation. Requires that it lives as long as this.
  Saved(const OpDef& op, const char* name, Tensor value)
      : value_(std::move(value)), op_(&op), name_(name) {}

  bool defined() const { return value_.tensor().defined(); }
  const Shape& shape() const { return value_.tensor().shape(); }
  /// Throws Error "[multiply] the value of input 'b' was written to after the forward pass, and its
  /// gradient needs it".
  const Tensor& operator*() const {
    if (value_.is_changed()) [[unlikely]]
      refuse();
    return value_.tensor();
  }
  const Tensor* operator->() const { return &**this; }

 private:
  [[noreturn]] void refuse() const;

  Watched value_;
  const OpDef* op_ = nullptr;
  const char* name_ = nullptr;
};

}  // namespace maskgrad
