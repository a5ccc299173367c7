#include <maskgrad/ops/cpu/vector/expression.hpp>
#include <maskgrad/ops/math/binary.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kAdd = register_binary("add", "a + b", add, Reads::nothing(), Reads::nothing());
const OpDef& kSubtract =
    register_binary("subtract", "a - b", subtract, Reads::nothing(), Reads::nothing());
const OpDef& kMultiply = register_binary("multiply", "a * b", multiply, Reads{"b"}, Reads{"a"});
const OpDef& kDivide =
    register_binary("divide", "a / b", divide, Reads{"b"}, Reads{"b", "output"}, 0.5);

constexpr auto kProduct = [](const auto& x, const auto& z) { return x * z; };
constexpr auto kQuotient = [](const auto& x, const auto& z) { return x / z; };

}  // namespace

// d(a + b) = g, g
Variable add(const Variable& a, const Variable& b) {
  check_defined(kAdd, {&a, &b});
  Tensor y = zip(
      "add", [](const auto& x, const auto& z) { return x + z; }, a.value(), b.value());
  return record(kAdd, {&a, &b}, std::move(y), [](const Tensor& g, Gradients& grads) {
    grads.set(0, g);
    grads.set(1, g);
  });
}

// d(a - b) = g, -g
Variable subtract(const Variable& a, const Variable& b) {
  check_defined(kSubtract, {&a, &b});
  Tensor y = zip(
      "subtract", [](const auto& x, const auto& z) { return x - z; }, a.value(), b.value());
  return record(kSubtract, {&a, &b}, std::move(y), [](const Tensor& g, Gradients& grads) {
    grads.set(0, g);
    if (grads.needed(1))
      grads.set(1, map(
                       "subtract", [](const auto& grad) { return -grad; }, g));
  });
}

// d(a b) = g b, g a
Variable multiply(const Variable& a, const Variable& b) {
  check_defined(kMultiply, {&a, &b});
  Tensor y = zip("multiply", kProduct, a.value(), b.value());
  return record(kMultiply, {&a, &b}, std::move(y),
                [a = Saved(kMultiply, "a", a.value()), b = Saved(kMultiply, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  if (grads.needed(0)) grads.set(0, zip("multiply", kProduct, g, *b));
                  if (grads.needed(1)) grads.set(1, zip("multiply", kProduct, g, *a));
                });
}

// d(a / b) = g / b, -g y / b
Variable divide(const Variable& a, const Variable& b) {
  check_defined(kDivide, {&a, &b});
  Tensor y = zip("divide", kQuotient, a.value(), b.value());
  return record(kDivide, {&a, &b}, y,
                [y = Saved(kDivide, "output", y), b = Saved(kDivide, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  const Tensor over_b = zip("divide", kQuotient, g, *b);
                  grads.set(0, over_b);
                  if (!grads.needed(1)) return;
                  const auto times = [](const auto& q, const auto& z) { return -q * z; };
                  grads.set(1, map("divide", times, over_b, *y));
                });
}

}  // namespace maskgrad::ops
