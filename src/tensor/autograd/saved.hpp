// Values that gradient rules read.
#pragma once

#include <maskgrad/tensor/autograd/watched.hpp>

namespace maskgrad {

struct OpDef;

/// A value as it is when an operation runs, for the rule that reads it backward:
///   [b = Saved(kMultiply, "b", b.value())](const Tensor& g, Gradients& grads) {
///     grads.set(0, times(g, *b));
///   }
class Saved {
 public:
  /// Nothing, which must not be read.
  Saved() = default;
  /// `name`, one of the operation's inputs or outputs, must live as long.
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
