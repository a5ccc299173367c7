#include <array>

#include <maskgrad/ops/cpu/attention/fused_call.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

constexpr const char* kName = "scaled_dot_product_attention";

void check_ranks(const Variable& q, const Variable& k, const Variable& v) {
  check(q.rank() == 3 || q.rank() == 4, kName, "q must be [B, H, S, D] or [B, S, D], got {}",
        q.shape());
  const bool are_blocks = q.rank() == 3 && k.rank() == 4;
  check((k.rank() == q.rank() || are_blocks) && v.rank() == q.rank(), kName,
        "k and v must have as many dimensions as q: {}, {}, {}", q.shape(), k.shape(), v.shape());
}

std::vector<Variable> call_attention(const OpCall& call) {
  const Variable &q = call.input("q"), &k = call.input("k"), &v = call.input("v");
  const OpDef& op = find_op(kName);
  check_defined(op, {&q, &k, &v});
  check_ranks(q, k, v);
  return {scaled_dot_product_attention(q, k, v, plan_of_call(op, call, q.dim(-2), v.dim(-2)),
                                       options_of_call(call))};
}

std::vector<OpSample> attention_samples(Random& r) {
  const auto sample = [&](std::int64_t heads, std::int64_t key_heads, const Shape& mask) {
    return OpSample{{{"q", sample_uniform(r, {2, heads, 3, 2})},
                     {"k", sample_uniform(r, {2, key_heads, 4, 2})},
                     {"v", sample_uniform(r, {2, key_heads, 4, 3})},
                     {"mask", sample_bits(r, mask)}}};
  };
  std::vector<OpSample> samples = {sample(2, 2, {3, 4}), sample(4, 2, {2, 1, 3, 4}),
                                   sample(2, 1, {2, 1, 1, 4}), sample(1, 1, {1, 1, 3, 1})};
  samples[0].inputs["bias"] = sample_uniform(r, {2, 1, 4});
  samples[1].args = {{"softcap", 1.5}, {"scale", 0.7}};
  samples[2].args = {{"dropout", 0.3}};
  samples[3].inputs.erase("mask");
  // Heads that share rows, two of queries for each of keys.
  samples.push_back({{{"q", sample_uniform(r, {2, 3, 8})},
                      {"k", sample_uniform(r, {2, 4, 4})},
                      {"v", sample_uniform(r, {2, 4, 6})},
                      {"mask", sample_bits(r, {4, 3, 4})}},
                     {{"heads", std::int64_t{4}}}});
  // Positions of two samples exist.
  samples.push_back(
      {{{"q", sample_uniform(r, {2, 3, 4})},
        {"k", sample_uniform(r, {2, 3, 4})},
        {"v", sample_uniform(r, {2, 3, 4})},
        {"queries", Tensor::from<bool>({true, true, false, true, false, false}, {2, 3})}},
       {{"heads", std::int64_t{2}}}});
  // Keys in blocks, before some of which the samples end.
  samples.push_back({{{"q", sample_uniform(r, {2, 1, 8})},
                      {"k", sample_uniform(r, {2, 2, 4, 16})},
                      {"v", sample_uniform(r, {2, 19, 6})},
                      {"mask", sample_bits(r, {2, 1, 1, 19})}},
                     {{"heads", std::int64_t{4}}}});
  bool* begin = samples.back().inputs["mask"].data<bool>();
  for (std::int64_t i = 0; i < 2 * 19; ++i) begin[i] = i % 19 < (i < 19 ? 17 : 5);
  // Query 1 sees nothing, and nobody sees key 2.
  samples.push_back(sample(2, 1, {3, 4}));
  bool* keep = samples.back().inputs["mask"].data<bool>();
  for (std::int64_t i = 0; i < 12; ++i) keep[i] = i / 4 != 1 && i % 4 != 2;
  return samples;
}

const OpDef& kAttention = register_op({
    .name = kName,
    .summary = "values averaged by softmax over the kept pairs of queries and keys",
    .inputs = {{.name = "q", .reach = Reach::kByCall},
               {.name = "k", .reach = Reach::kByCall},
               {.name = "v", .reach = Reach::kByCall},
               {.name = "bias", .reach = Reach::kByCall, .optional = true},
               pairs_input(),
               queries_input()},
    .args = attention_args(),
    .mask_rule = MaskRule::kUses,
    .call = call_attention,
    .samples = attention_samples,
});

Tensor empty_like(const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); }

}  // namespace

// softmax(s) v with s = scale q k^T + bias over the kept pairs; for the gradients see
// attention/backward.cpp
Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v,
                                      const AttentionPlan& plan, const AttentionOptions& options) {
  check_defined(kAttention, {&q, &k, &v});
  check_no_sequence_mask(kAttention, {&q, &k, &v, &options.bias});
  check_ranks(q, k, v);
  const auto heads =
      HeadsOfInputs::checked(kAttention, q.value(), k.value(), v.value(), options.heads);
  const auto call = make_ref<FusedCall>(kAttention, Saved(kAttention, "q", q.value()),
                                        Saved(kAttention, "k", k.value()),
                                        Saved(kAttention, "v", v.value()), heads, plan, options);
  auto rule = [=](const Tensor& g, Gradients& grads) {
    AttentionGradients d = {empty_like(*call->q), empty_like(*call->k), empty_like(*call->v), {}};
    call->set_gradients(g, call->has_bias() && grads.needed(3), d);
    if (grads.needed(0)) grads.set(0, std::move(d.q));
    if (grads.needed(1)) grads.set(1, std::move(d.k));
    if (grads.needed(2)) grads.set(2, std::move(d.v));
    if (d.bias.defined()) grads.set(3, std::move(d.bias));
  };
  const std::array<const Variable*, 4> inputs = {&q, &k, &v, &options.bias};
  const Random::State state = state_of(options);
  return record(kAttention, std::span(inputs.data(), options.bias.defined() ? 4u : 3u),
                *call->output, plan.queries(),
                with_reach(std::move(rule),
                           [=](std::size_t input, const Tensor& marked, const Way& way) {
                             return call->reached(input, marked, way.back);
                           }),
                given_of(plan, options, state));
}

}  // namespace maskgrad::ops
