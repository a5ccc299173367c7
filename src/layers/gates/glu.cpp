#include <maskgrad/layers/gates/glu.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>

namespace maskgrad {

Glu::Glu(std::int64_t inputs, std::int64_t outputs, const GluOptions& options)
    : Layer("Glu", MaskRule::kKeeps), activation_(options.activation) {
  check_sizes("Glu", "inputs and outputs", inputs, outputs);
  const auto bias = [&](const char* name) {
    return options.bias ? &parameter(name, {outputs}, zeros()) : nullptr;
  };
  w_ = &parameter("w", {inputs, outputs}, glorot_uniform());
  b_ = bias("b");
  v_ = &parameter("v", {inputs, outputs}, glorot_uniform());
  c_ = bias("c");
}

std::optional<ops::Work> Glu::row_work() const {
  return ops::Work{.per_position = 6 * w_->shape().numel()};
}

Variable Glu::forward(const Variable& x, Pass&) {
  check_features(kind(), x, w_->shape()[0]);
  return gated_linear_unit(x, activation_, *w_, b_, *v_, c_);
}

}  // namespace maskgrad
