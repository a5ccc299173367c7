// The activations made of sigmoid and its kin: a file of their own, because each expression costs
// the compiler half a second.
#include <maskgrad/ops/activation.hpp>
#include <maskgrad/ops/unary.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kSigmoid = register_unary("sigmoid", "1 / (1 + e^-x)", sigmoid);
const OpDef& kTanh = register_unary("tanh", "hyperbolic tangent", tanh);
const OpDef& kSoftplus = register_unary("softplus", "log(1 + e^x)", softplus);
const OpDef& kSilu = register_unary("silu", "x sigmoid(x)", silu);

template <class E>
auto logistic(const E& x) {
  return like(x, 1) / (like(x, 1) + xt::exp(-x));
}

}  // namespace

// dy/dx = y (1 - y)
Variable sigmoid(const Variable& x) {
  return unary(
      kSigmoid, x, Saves::kOutput, [](const auto& a) { return logistic(a); },
      [](const auto& g, const auto& y) { return g * y * (like(y, 1) - y); });
}

// dy/dx = 1 - y^2
Variable tanh(const Variable& x) {
  return unary(
      kTanh, x, Saves::kOutput, [](const auto& a) { return xt::tanh(a); },
      [](const auto& g, const auto& y) { return g * (like(y, 1) - y * y); });
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|); dy/dx = sigmoid(x)
Variable softplus(const Variable& x) {
  return unary(
      kSoftplus, x, Saves::kInput,
      [](const auto& a) {
        return xt::where(a < like(a, 0), like(a, 0), a) + xt::log1p(xt::exp(-xt::abs(a)));
      },
      [](const auto& g, const auto& a) { return g * logistic(a); });
}

// dy/dx = s (1 + x (1 - s)), s = sigmoid(x)
Variable silu(const Variable& x) {
  return unary(
      kSilu, x, Saves::kInput, [](const auto& a) { return a * logistic(a); },
      [](const auto& g, const auto& a) {
        return g * logistic(a) * (like(a, 1) + a * (like(a, 1) - logistic(a)));
      });
}

}  // namespace maskgrad::ops
