#include <maskgrad/ops/activation.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/unary.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kRelu = register_unary("relu", "max(x, 0)", relu, {}, -2.0, Reads::nothing());
const OpDef& kLeakyRelu = register_unary("leaky_relu", "x if x > 0, else slope * x", leaky_relu,
                                         {{"slope", 0.01}}, -2.0, Reads::nothing());
const OpDef& kElu =
    register_unary("elu", "x if x > 0, else alpha (e^x - 1)", elu, {{"alpha", 1.0}});
const OpDef& kGelu = register_unary("gelu", "x Phi(x), by erf", gelu);

}  // namespace

// dy/dx = 1 where y > 0, 0 elsewhere
Variable relu(const Variable& x) {
  return unary(
      kRelu, x, Saves::kOutput,
      [](const auto& a) { return xt::where(a < like(a, 0), like(a, 0), a); },
      [](const auto& g, const auto& y) { return xt::where(y > like(y, 0), g, like(g, 0)); });
}

// dy/dx = 1 where x > 0, slope elsewhere
Variable leaky_relu(const Variable& x, Scalar given) {
  const double slope = real_argument(kLeakyRelu, "slope", given, x.dtype());
  return unary(
      kLeakyRelu, x, Saves::kInput,
      [=](const auto& a) { return xt::where(a > like(a, 0), a, like(a, slope) * a); },
      [=](const auto& g, const auto& a) {
        return xt::where(a > like(a, 0), g, like(g, slope) * g);
      });
}

// dy/dx = 1 where x > 0, alpha e^x elsewhere
Variable elu(const Variable& x, Scalar given) {
  const double alpha = real_argument(kElu, "alpha", given, x.dtype());
  return unary(
      kElu, x, Saves::kInput,
      [=](const auto& a) { return xt::where(a > like(a, 0), a, like(a, alpha) * xt::expm1(a)); },
      [=](const auto& g, const auto& a) {
        return xt::where(a > like(a, 0), g, like(g, alpha) * g * xt::exp(a));
      });
}

// y = x Phi(x); dy/dx = Phi(x) + x phi(x), phi the normal density
Variable gelu(const Variable& x) {
  constexpr double kHalfRoot2 = 0.70710678118654752440, kInverseRoot2Pi = 0.39894228040143267794;
  const auto phi_sum = [=](const auto& a) {
    return like(a, 0.5) * (like(a, 1) + xt::erf(like(a, kHalfRoot2) * a));
  };
  return unary(
      kGelu, x, Saves::kInput, [=](const auto& a) { return a * phi_sum(a); },
      [=](const auto& g, const auto& a) {
        return g * (phi_sum(a) + a * like(a, kInverseRoot2Pi) * xt::exp(like(a, -0.5) * a * a));
      });
}

}  // namespace maskgrad::ops
