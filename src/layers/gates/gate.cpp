#include <maskgrad/layers/gates/gate.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

namespace maskgrad {
namespace {

Activation checked_activation(Activation activation) {
  check(activation == Activation::kSigmoid || activation == Activation::kTanh, "Gate",
        "needs sigmoid or tanh, got {}", to_string(activation));
  return activation;
}

}  // namespace

Gate::Gate(std::int64_t features, const GateOptions& options)
    : Layer("Gate", MaskRule::kKeeps),
      activation_(checked_activation(options.activation)),
      w_(parameter("w", {checked_features("Gate", features), options.each_feature ? features : 1},
                   glorot_uniform())),
      b_(parameter("b", {w_.shape()[1]}, constant(checked_bias("Gate", options.bias)))) {}

// g, without the checks of a call.
Variable Gate::computed(const Variable& x) const {
  check_features(kind(), x, w_.shape()[0]);
  return project(x, w_, &b_, activation_);
}

void Gate::check_value(const Variable& x, const Variable& v) const {
  const int last = x.rank() - 1;
  check(v.rank() == x.rank() && v.shape().slice(0, last) == x.shape().slice(0, last), "Gate",
        "{} is no value for the gates of {}", v.shape(), x.shape());
  check(w_.shape()[1] == 1 || v.dim(-1) == w_.shape()[1], "Gate",
        "needs a value of {} features, got {}", w_.shape()[1], v.dim(-1));
  check_mask_of_value("Gate", x, v);
}

Variable Gate::opening(const Variable& x) const {
  const Scope scope(name());
  check_given(x.defined(), "Gate", "its input");
  return computed(x);
}

Variable Gate::gate(const Variable& x, const Variable& v, Pass& pass) const {
  check_given(v.defined(), "Gate", "the value");
  return checked(x, pass, [&] {
    const Variable g = computed(x);
    check_value(x, v);
    return ops::multiply(g, v);
  });
}

std::optional<ops::Work> Gate::row_work() const {
  return ops::Work{.per_position = 3 * w_.shape().numel()};
}

Variable Gate::forward(const Variable& x, Pass&) { return ops::multiply(computed(x), x); }

}  // namespace maskgrad
