#include <maskgrad/layers/gates/gate.hpp>
#include <maskgrad/layers/gates/gate_checks.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>

namespace maskgrad {
namespace {

Activation checked_activation(Activation activation) {
  check(activation == Activation::kSigmoid || activation == Activation::kTanh, "Gate",
        "is sigmoid or tanh, not {}", to_string(activation));
  return activation;
}

}  // namespace

Gate::Gate(std::int64_t features, const GateOptions& options)
    : Layer("Gate", MaskRule::kKeeps),
      activation_(checked_activation(options.activation)),
      w_(parameter("w", {checked_features("Gate", features), options.each_feature ? features : 1},
                   glorot_uniform())),
      b_(parameter("b", {w_.shape()[1]}, constant(checked_bias("Gate", options.bias)))) {}

Variable Gate::opening(const Variable& x) const {
  const Scope scope(name());
  check_given(x.defined(), "Gate", "its input");
  check_features(kind(), x, w_.shape()[0]);
  return apply(activation_, ops::linear(x, w_, b_));
}

Variable Gate::gate(const Variable& x, const Variable& v, Pass& pass) const {
  check_given(v.defined(), "Gate", "the value");
  return checked(x, pass, [&] {
    check_features(kind(), x, w_.shape()[0]);
    const int last = x.rank() - 1;
    check(v.rank() == x.rank() && v.shape().slice(0, last) == x.shape().slice(0, last), "Gate",
          "{} is no value for the gates of {}", v.shape(), x.shape());
    check(w_.shape()[1] == 1 || v.dim(-1) == w_.shape()[1], "Gate",
          "has {} gates for the {} features of the value", w_.shape()[1], v.dim(-1));
    check(x.mask().defined() || !v.mask().defined(), "Gate",
          "the value carries a mask, and the input of the gate none");
    return ops::multiply(apply(activation_, ops::linear(x, w_, b_)), v);
  });
}

std::optional<ops::Work> Gate::row_work() const {
  return ops::Work{.per_position = 3 * (w_.shape().numel() + w_.shape()[0])};
}

Variable Gate::forward(const Variable& x, Pass&) {
  check_features(kind(), x, w_.shape()[0]);
  return ops::multiply(apply(activation_, ops::linear(x, w_, b_)), x);
}

}  // namespace maskgrad
