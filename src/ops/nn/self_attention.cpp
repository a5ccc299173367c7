#include <array>

#include <maskgrad/ops/cpu/attention/fused_call.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

constexpr const char* kName = "self_attention";

void check_shape(const Variable& qkv) {
  check((qkv.rank() == 4 || qkv.rank() == 5) && qkv.dim(0) == 3 && is_floating(qkv.dtype()), kName,
        "needs floating [3, B, H, S, D] or [3, B, S, D], got {} {}", to_string(qkv.dtype()),
        qkv.shape());
}

const OpDef& kSelfAttention = register_op({
    .name = kName,
    .summary = "attention of queries qkv[0] over keys qkv[1] and values qkv[2]",
    .inputs = {{.name = "qkv", .reach = Reach::kByCall},
               {.name = "bias", .reach = Reach::kByCall, .optional = true},
               pairs_input(),
               queries_input()},
    .args = attention_args(),
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const Variable& qkv = call.input("qkv");
      const OpDef& op = find_op(kName);
      check_defined(op, {&qkv});
      check_shape(qkv);
      return {self_attention(qkv, plan_of_call(op, call, qkv.dim(-2), qkv.dim(-2)),
                             options_of_call(call))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples = {
          {{{"qkv", sample_uniform(r, {3, 2, 4, 2})}, {"mask", sample_bits(r, {4, 4})}}},
          {{{"qkv", sample_uniform(r, {3, 2, 2, 3, 2})}, {"mask", sample_bits(r, {2, 1, 3, 3})}},
           {{"softcap", 1.5}, {"scale", 0.7}}},
          {{{"qkv", sample_uniform(r, {3, 1, 3, 2})}, {"bias", sample_uniform(r, {3, 1})}},
           {{"dropout", 0.3}}},
          {{{"qkv", sample_uniform(r, {3, 2, 3, 4})}, {"mask", sample_bits(r, {2, 1, 3, 3})}},
           {{"heads", std::int64_t{2}}}},
          {{{"qkv", sample_uniform(r, {3, 2, 3, 2})},
            {"queries", Tensor::from<bool>({true, false, true, true, true, false}, {2, 3})}}}};
      // Query 1 sees nothing, and nobody sees key 2.
      samples.push_back(
          {{{"qkv", sample_uniform(r, {3, 1, 4, 2})}, {"mask", sample_bits(r, {4, 4})}}});
      bool* keep = samples.back().inputs["mask"].data<bool>();
      for (std::int64_t i = 0; i < 16; ++i) keep[i] = i / 4 != 1 && i % 4 != 2;
      return samples;
    },
});

// What depends on marked places of one of the three may depend on those of another.
Tensor reached(const FusedCall& call, std::size_t input, const Tensor& marked, const Way& way) {
  if (input == 1) return call.reached(3, marked, way.back);
  Tensor places = Tensor::zeros(way.to(), DType::kBool);
  for (const std::size_t i : {0u, 1u, 2u}) {
    const auto part = static_cast<std::int64_t>(i);
    if (way.back) {
      places[part].copy_from(call.reached(i, marked, true));
    } else {
      places = either(places, call.reached(i, marked[part], false));
    }
  }
  return places;
}

}  // namespace

// As scaled_dot_product_attention()
Variable self_attention(const Variable& qkv, const AttentionPlan& plan,
                        const AttentionOptions& options) {
  check_defined(kSelfAttention, {&qkv});
  check_no_sequence_mask(kSelfAttention, {&qkv, &options.bias});
  check_shape(qkv);
  const Tensor& all = qkv.value();
  const auto heads = HeadsOfInputs::checked(kSelfAttention, all[0], all[1], all[2], options.heads);
  const auto part = [&](std::int64_t i) { return Saved(kSelfAttention, "qkv", all[i]); };
  const auto call =
      make_ref<FusedCall>(kSelfAttention, part(0), part(1), part(2), heads, plan, options);
  auto rule = [=, shape = qkv.shape()](const Tensor& g, Gradients& grads) {
    const Tensor d =
        grads.needed(0) ? grads.buffer(0) : Tensor::empty(shape, g.dtype(), g.device());
    AttentionGradients parts = {d[0], d[1], d[2], {}};
    call->set_gradients(g, call->has_bias() && grads.needed(1), parts);
    if (parts.bias.defined()) grads.set(1, std::move(parts.bias));
  };
  const std::array<const Variable*, 2> inputs = {&qkv, &options.bias};
  const Random::State state = state_of(options);
  return record(kSelfAttention, std::span(inputs.data(), options.bias.defined() ? 2u : 1u),
                *call->output, plan.queries(),
                with_reach(std::move(rule),
                           [=](std::size_t input, const Tensor& marked, const Way& way) {
                             return reached(*call, input, marked, way);
                           }),
                given_of(plan, options, state));
}

}  // namespace maskgrad::ops
