#include <maskgrad/ops/math/straight_through.hpp>
#include <maskgrad/ops/math/unary.hpp>
#include <maskgrad/ops/op_inputs.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kStraightThrough = register_op({
    .name = "straight_through",
    .summary = "1 where the logit is above 0, else 0, with the gradient of sigmoid",
    .inputs = {{.name = "input", .reach = Reach::kElement, .gradient = Reads{"input"}}},
    .mask_rule = MaskRule::kKeeps,
    .has_stand_in_gradient = true,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {straight_through(call.input("input"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}},
              {{{"input", sample_uniform(r, {})}}},
              {{{"input", sample_uniform(r, {0, 3})}}}};
    },
});

}  // namespace

Variable straight_through(const Variable& logits) {
  return unary(kStraightThrough, logits, functors::StraightThrough());
}

}  // namespace maskgrad::ops
