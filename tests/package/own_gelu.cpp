// An elementwise operation of a user's own.
#include "own_gelu.hpp"

#include <maskgrad/ops/elements/map.hpp>
#include <maskgrad/ops/samples/sample.hpp>

using namespace maskgrad;

namespace {

const OpDef& kOwnGelu = register_op({
    .name = "own_gelu",
    .summary = "x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2",
    .inputs = {{.name = "input", .reach = Reach::kElement, .gradient = Reads{"input"}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {own_gelu(call.input("input"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", ops::sample_uniform(r, {2, 3, 4})}}}};
    },
});

}  // namespace

Variable own_gelu(const Variable& x) {
  constexpr double k = 0.7978845608028654, c = 0.044715;
  const auto u = [](auto v) { return k * (v + c * v * v * v); };
  const auto f = [=](auto v) { return 0.5 * v * (1 + tanh(u(v))); };
  const auto slope = [=](auto v, auto g) {
    const auto t = tanh(u(v));
    return 0.5 * g * (1 + t + v * (1 - t * t) * k * (1 + 3 * c * v * v));
  };
  return ops::elementwise(kOwnGelu, {&x}, f, slope);
}
