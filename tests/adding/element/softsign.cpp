#include "softsign.hpp"

#include <maskgrad/ops/elements/map.hpp>
#include <maskgrad/ops/samples/sample.hpp>

using namespace maskgrad;

namespace {

const OpDef& kSoftsign = register_op({
    .name = "softsign",
    .summary = "x / (1 + |x|)",
    .inputs = {{.name = "input", .reach = Reach::kElement, .gradient = Reads{"input"}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {softsign(call.input("input"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", ops::sample_uniform(r, {2, 3, 4})}}}};
    },
});

}  // namespace

Variable softsign(const Variable& x) {
  return ops::elementwise(kSoftsign, {&x}, Softsign(), SoftsignGradient());
}
