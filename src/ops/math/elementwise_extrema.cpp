#include <maskgrad/ops/cpu/vector/expression.hpp>
#include <maskgrad/ops/math/binary.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kMaximum = register_binary("maximum", "the larger of a and b", maximum,
                                        Reads::nothing(), Reads::nothing());
const OpDef& kMinimum = register_binary("minimum", "the smaller of a and b", minimum,
                                        Reads::nothing(), Reads::nothing());

constexpr auto kGreater = [](const auto& x, const auto& z) { return x > z; };
constexpr auto kLess = [](const auto& x, const auto& z) { return x < z; };

// Of a and b the one that wins(a, b), and NaN where either is NaN.
template <class Wins>
Variable extremum(const OpDef& op, const Variable& a, const Variable& b, Wins wins) {
  check_defined(op, {&a, &b});
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
                [=, a = Saved(op, "a", a.value()), b = Saved(op, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  if (grads.needed(0)) grads.set(0, part(g, share_of(*a, *b)));
                  if (grads.needed(1)) grads.set(1, part(g, share_of(*b, *a)));
                });
}

}  // namespace

Variable maximum(const Variable& a, const Variable& b) {
  return extremum(kMaximum, a, b, kGreater);
}
Variable minimum(const Variable& a, const Variable& b) { return extremum(kMinimum, a, b, kLess); }

}  // namespace maskgrad::ops
