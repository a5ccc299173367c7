#include <maskgrad/layers/gates/highway.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

namespace maskgrad {

Highway::Highway(std::int64_t features, const HighwayOptions& options)
    : Layer("Highway", MaskRule::kKeeps),
      activation_(options.activation),
      w_(parameter("w", {checked_features("Highway", features), features}, glorot_uniform())),
      b_(parameter("b", {features}, constant(checked_bias("Highway", options.bias)))),
      v_(parameter("v", {features, features}, glorot_uniform())),
      c_(parameter("c", {features}, zeros())) {}

std::optional<ops::Work> Highway::row_work() const {
  return ops::Work{.per_position = 6 * w_.shape().numel()};
}

Variable Highway::forward(const Variable& x, Pass&) {
  check_features(kind(), x, w_.shape()[0]);
  const Variable logit = ops::linear(x, w_, b_);
  const Variable h = project(x, v_, &c_, activation_);
  // 1 - t is sigmoid(-logit), without the rounding of a difference where t is near 1.
  const Variable around = ops::multiply(ops::sigmoid(ops::negate(logit)), x);
  return ops::add(ops::multiply(ops::sigmoid(logit), h), around);
}

}  // namespace maskgrad
