#include <cmath>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/unary.hpp>
#include <maskgrad/ops/op_inputs.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kSigmoid = register_unary("sigmoid", "1 / (1 + e^-x)", sigmoid);
const OpDef& kTanh = register_unary("tanh", "hyperbolic tangent", tanh);
const OpDef& kSoftplus = register_unary("softplus", "log(1 + e^x)", softplus);
const OpDef& kRelu = register_unary("relu", "max(x, 0)", relu, {}, -2.0, Reads::nothing());
const OpDef& kLeakyRelu = register_unary("leaky_relu", "x if x > 0, else slope * x", leaky_relu,
                                         {{"slope", 0.01}}, -2.0, Reads::nothing());
const OpDef& kElu =
    register_unary("elu", "x if x > 0, else alpha (e^x - 1)", elu, {{"alpha", 1.0}});
const OpDef& kGelu = register_unary("gelu", "x Phi(x), by erf", gelu);
const OpDef& kGeluTanh = register_unary("gelu_tanh", "gelu's approximation by tanh", gelu_tanh);
const OpDef& kSilu = register_unary("silu", "x sigmoid(x)", silu);

double finite_argument(const OpDef& op, const char* argument, Scalar given, DType dtype) {
  const double value = real_argument(op, argument, given, dtype);
  check(std::isfinite(value), op.name.c_str(), "{} must be finite, got {}", argument, value);
  return value;
}

}  // namespace

Variable sigmoid(const Variable& x) { return unary(kSigmoid, x, functors::Sigmoid()); }
Variable tanh(const Variable& x) { return unary(kTanh, x, functors::Tanh()); }
Variable softplus(const Variable& x) { return unary(kSoftplus, x, functors::Softplus()); }
Variable relu(const Variable& x) { return unary(kRelu, x, functors::Relu()); }
Variable gelu(const Variable& x) { return unary(kGelu, x, functors::Gelu()); }
Variable gelu_tanh(const Variable& x) { return unary(kGeluTanh, x, functors::GeluTanh()); }
Variable silu(const Variable& x) { return unary(kSilu, x, functors::Silu()); }

Variable leaky_relu(const Variable& x, Scalar slope) {
  const double value = finite_argument(kLeakyRelu, "slope", slope, x.dtype());
  return unary(kLeakyRelu, x, functors::LeakyRelu{functors::Factor(value)}, {{"slope", value}});
}

Variable elu(const Variable& x, Scalar alpha) {
  const double value = finite_argument(kElu, "alpha", alpha, x.dtype());
  return unary(kElu, x, functors::Elu{functors::Factor(value)}, {{"alpha", value}});
}

}  // namespace maskgrad::ops
