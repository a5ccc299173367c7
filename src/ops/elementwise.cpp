#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/ops/expression.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& register_binary(const char* name, const char* summary,
                             Variable (*function)(const Variable&, const Variable&),
                             double low = -2.0) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "a", .reach = Reach::kElement}, {.name = "b", .reach = Reach::kElement}},
      .mask_rule = MaskRule::kKeeps,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        return {function(call.input("a"), call.input("b"))};
      },
      .samples = [=](Random& r) -> std::vector<OpSample> {
        std::vector<OpSample> samples;
        for (auto [a, b] : std::initializer_list<std::pair<Shape, Shape>>{{{3, 4}, {3, 4}},
                                                                          {{2, 3, 4}, {4}},
                                                                          {{2, 3, 4}, {2, 1, 4}},
                                                                          {{3, 1}, {2, 3, 5}},
                                                                          {{}, {2, 2}}}) {
          samples.push_back({{{"a", sample_uniform(r, a)}, {"b", sample_uniform(r, b, low)}}});
        }
        return samples;
      },
  });
}

const OpDef& kAdd = register_binary("add", "a + b", add);
const OpDef& kSubtract = register_binary("subtract", "a - b", subtract);
const OpDef& kMultiply = register_binary("multiply", "a * b", multiply);
const OpDef& kDivide = register_binary("divide", "a / b", divide, 0.5);
const OpDef& kMaximum = register_binary("maximum", "the larger of a and b", maximum);
const OpDef& kMinimum = register_binary("minimum", "the smaller of a and b", minimum);

constexpr auto kGreater = [](const auto& x, const auto& z) { return x > z; };
constexpr auto kLess = [](const auto& x, const auto& z) { return x < z; };

// Of a and b the one that wins(a, b), and NaN where either is NaN.
template <class Wins>
Variable extremum(const OpDef& op, const Variable& a, const Variable& b, Wins wins) {
  const char* name = op.name.c_str();
  Tensor y = zip(
      name,
      [=](const auto& x, const auto& z) { return xt::where(wins(z, x) || xt::isnan(z), z, x); },
      a.value(), b.value());
  // All of the gradient goes to the one that won, nothing to the other, half to each on a tie.
  const auto share_of = [=](const Tensor& of, const Tensor& other) {
    return zip(
        name,
        [=](const auto& x, const auto& z) {
          return xt::where(wins(x, z), like(x, 1), xt::where(wins(z, x), like(x, 0), like(x, 0.5)));
        },
        of, other);
  };
  // Selected, as an infinite gradient times 0 is NaN.
  const auto part = [=](const Tensor& g, const Tensor& share) {
    return map(
        name, [](const auto& d, const auto& s) { return xt::where(s > like(s, 0), d * s, s); }, g,
        share);
  };
  return record(op, {&a, &b}, y,
                [=, a = a.value(), b = b.value()](const Tensor& g, Gradients& grads) {
                  if (grads.needed(0)) grads.set(0, part(g, share_of(a, b)));
                  if (grads.needed(1)) grads.set(1, part(g, share_of(b, a)));
                });
}

constexpr auto kProduct = [](const auto& x, const auto& z) { return x * z; };
constexpr auto kQuotient = [](const auto& x, const auto& z) { return x / z; };

}  // namespace

// d(a + b) = g, g
Variable add(const Variable& a, const Variable& b) {
  Tensor y = zip(
      "add", [](const auto& x, const auto& z) { return x + z; }, a.value(), b.value());
  return record(kAdd, {&a, &b}, std::move(y), [](const Tensor& g, Gradients& grads) {
    grads.set(0, g);
    grads.set(1, g);
  });
}

// d(a - b) = g, -g
Variable subtract(const Variable& a, const Variable& b) {
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
  Tensor y = zip("multiply", kProduct, a.value(), b.value());
  return record(kMultiply, {&a, &b}, std::move(y),
                [a = a.value(), b = b.value()](const Tensor& g, Gradients& grads) {
                  if (grads.needed(0)) grads.set(0, zip("multiply", kProduct, g, b));
                  if (grads.needed(1)) grads.set(1, zip("multiply", kProduct, g, a));
                });
}

// d(a / b) = g / b, -g y / b
Variable divide(const Variable& a, const Variable& b) {
  Tensor y = zip("divide", kQuotient, a.value(), b.value());
  return record(kDivide, {&a, &b}, y, [y, b = b.value()](const Tensor& g, Gradients& grads) {
    const Tensor over_b = zip("divide", kQuotient, g, b);
    grads.set(0, over_b);
    if (!grads.needed(1)) return;
    grads.set(1, map(
                     "divide", [](const auto& q, const auto& z) { return -q * z; }, over_b, y));
  });
}

Variable maximum(const Variable& a, const Variable& b) {
  return extremum(kMaximum, a, b, kGreater);
}
Variable minimum(const Variable& a, const Variable& b) { return extremum(kMinimum, a, b, kLess); }

}  // namespace maskgrad::ops
