#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kDropout = register_op({
    .name = "dropout",
    .summary = "elements left out at random, the others scaled up",
    .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()}},
    .args = {{"p", 0.5}, {"seed", std::int64_t{0}}, {"state", std::vector<std::int64_t>{}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {dropout(call.input("input"), call.arg<double>("p"), random_of_call(call, "dropout"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}},
              {{{"input", sample_uniform(r, {2, 5})}}, {{"p", 0.2}, {"seed", std::int64_t{3}}}},
              {{{"input", sample_uniform(r, {0})}}}};
    },
});

// Which elements are kept: element i takes number i, on whichever thread.
Tensor draw_kept(const Shape& shape, double p, const Random& random) {
  constexpr std::int64_t kLeast = 2048;
  Tensor keep = Tensor::empty(shape, DType::kBool);
  bool* const kept = keep.data<bool>();
  parallel_for(keep.numel(), kLeast, [&](std::int64_t i, std::int64_t end) {
    Random own = random;
    own.skip_uniforms(static_cast<std::uint64_t>(i));
    for (; i < end; ++i) kept[i] = own.uniform() >= p;
  });
  return keep;
}

}  // namespace

Variable dropout(const Variable& x, double p, Random random) {
  check_defined(kDropout, {&x});
  check(p >= 0 && p < 1, "dropout", "p must be at least 0 and below 1, got {}", p);
  if (p == 0) return x;
  const Tensor keep = draw_kept(x.shape(), p, random);
  // Selected: a NaN that is dropped is gone.
  const functors::KeepScaled scaled{functors::Factor(1 / (1 - p))};
  const auto rule = [=](const Tensor& g, Gradients& grads) {
    grads.set(0, map_elements("dropout", scaled, g, Conditions{keep}));
  };
  const auto reach = [keep](std::size_t, const Tensor& marked, const Way&) {
    return both(marked, keep);
  };
  const Random::State state = random.state();
  return record(kDropout, {&x}, map_elements("dropout", scaled, x.value(), Conditions{keep}),
                with_reach(rule, reach), {{"p", p}, {"seed", 0}, {"state", state}});
}

}  // namespace maskgrad::ops
