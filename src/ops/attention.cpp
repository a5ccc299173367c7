#include <cmath>

#include <maskgrad/ops/activation.hpp>
#include <maskgrad/ops/attention.hpp>
#include <maskgrad/ops/attention_pairs.hpp>
#include <maskgrad/ops/dropout.hpp>
#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/ops/softmax.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

// The pairs of a bool tensor that broadcasts to [B, H, S, T].
AttentionMask mask_from(const OpCall& call, std::int64_t queries, std::int64_t keys) {
  if (!call.has("mask")) return {};
  return AttentionMask::bits(call.input("mask").value(), queries, keys);
}

const OpDef& kAttentionScores = register_op({
    .name = "attention_scores",
    .summary = "products of queries and keys for the kept pairs, 0 for the others",
    .inputs = {{.name = "q", .reach = Reach::kByCall},
               {.name = "k", .reach = Reach::kByCall},
               mask_input(Reach::kEverything)},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const Variable &q = call.input("q"), &k = call.input("k");
      return {attention_scores(q, k, mask_from(call, q.dim(-2), k.dim(-2)))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"q", sample_uniform(r, {2, 4, 3, 5})},
                {"k", sample_uniform(r, {2, 2, 4, 5})},
                {"mask", sample_bits(r, {2, 1, 3, 4})}}},
              {{{"q", sample_uniform(r, {1, 1, 3, 2})},
                {"k", sample_uniform(r, {1, 1, 0, 2})},
                {"mask", sample_bits(r, {3, 0})}}}};
    },
});

const OpDef& kAttentionValues = register_op({
    .name = "attention_values",
    .summary = "values summed with the weights of the kept pairs",
    .inputs = {{.name = "weights", .reach = Reach::kByCall},
               {.name = "v", .reach = Reach::kByCall},
               mask_input(Reach::kEverything)},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const Variable &weights = call.input("weights"), &v = call.input("v");
      return {attention_values(weights, v, mask_from(call, weights.dim(-2), v.dim(-2)))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"weights", sample_uniform(r, {2, 4, 3, 4})},
                {"v", sample_uniform(r, {2, 2, 4, 3})},
                {"mask", sample_bits(r, {2, 1, 3, 4})}}}};
    },
});

// An argument that may be left out is NaN by default.
std::optional<double> optional_arg(const OpCall& call, const char* name) {
  const double value = call.arg<double>(name);
  return std::isnan(value) ? std::nullopt : std::optional(value);
}

std::vector<Variable> call_attention(const OpCall& call) {
  const Variable &q = call.input("q"), &k = call.input("k");
  const auto seed = static_cast<std::uint64_t>(call.arg<std::int64_t>("seed"));
  const AttentionOptions options = {.bias = call.has("bias") ? call.input("bias") : Variable(),
                                    .scale = optional_arg(call, "scale"),
                                    .softcap = optional_arg(call, "softcap"),
                                    .dropout = call.arg<double>("dropout"),
                                    .random = Random(seed, stream_of("attention"))};
  return {scaled_dot_product_attention(q, k, call.input("v"), mask_from(call, q.dim(-2), k.dim(-2)),
                                       options)};
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
  return samples;
}

const OpDef& kAttention = register_op({
    .name = "scaled_dot_product_attention",
    .summary = "values averaged by softmax over the kept pairs of queries and keys",
    .inputs = {{.name = "q", .reach = Reach::kByCall},
               {.name = "k", .reach = Reach::kByCall},
               {.name = "v", .reach = Reach::kByCall},
               optional(mask_input(Reach::kEverything)),
               {.name = "bias", .reach = Reach::kByCall, .optional = true}},
    .args = {{"scale", std::nan("")},
             {"softcap", std::nan("")},
             {"dropout", 0.0},
             {"seed", std::int64_t{0}}},
    .mask_rule = MaskRule::kUses,
    .call = call_attention,
    .samples = attention_samples,
});

void check_no_sequence_mask(const OpDef& op, std::initializer_list<const Variable*> inputs) {
  for (const Variable* input : inputs) {
    check(!input->mask().defined(), op.name.c_str(),
          "an input of {} carries a mask; give it as AttentionMask::padding, and drop_mask() it",
          input->shape());
  }
}

// rows and keys [B, H, S, D] and [B, H_kv, T, D']; `pairs` is what the mask must fit.
void check_pairs(const OpDef& op, const Shape& rows, const Shape& keys, const Shape& pairs,
                 const AttentionMask& mask) {
  const char* name = op.name.c_str();
  check(rows[0] == keys[0], name, "batches differ: {} and {}", rows, keys);
  check(keys[1] > 0 && rows[1] % keys[1] == 0, name,
        "heads of keys must divide heads of queries: {} and {}", rows, keys);
  check(mask.defined(), name, "needs a mask; AttentionMask::all() keeps every pair");
  check(can_broadcast(mask.shape(), pairs) && mask.shape()[2] == pairs[2] &&
            mask.shape()[3] == pairs[3],
        name, "a mask of {} does not fit pairs of {}", mask.shape(), pairs);
}

void check_rank(const OpDef& op, const char* what, const Variable& x) {
  check(x.rank() == 4, op.name.c_str(), "{} must be [B, H, S, D], got {}", what, x.shape());
}

Tensor all_bits(const AttentionMask& mask, const Shape& pairs) {
  return expand(mask.to_bits(), pairs);
}

// Which pairs depend on marked rows ([B, H, S, D]) or keys ([B, H_kv, T, D]).
Tensor pairs_reached(std::size_t input, const Tensor& marked, const Shape& pairs,
                     const AttentionMask& mask) {
  // A head reads the keys of one of H_kv: marked in one is taken as marked in all.
  const int heads = marked.dim(1) == pairs[1] ? 1 : kAlong;
  const std::array<int, 4> of_rows = {0, 1, 2, kAlong}, of_keys = {0, heads, 3, kAlong};
  return both(spread(input == 0 ? of_rows : of_keys, marked, pairs), all_bits(mask, pairs));
}

// Which sums depend on marked pairs, or on marked values that a kept pair weighs.
Tensor sums_reached(std::size_t input, const Tensor& marked, const Shape& pairs, const Shape& sums,
                    const AttentionMask& mask) {
  const Tensor kept = all_bits(mask, pairs);
  const std::array<int, 4> of_pairs = {0, 1, 2, kAlong};
  if (input == 0) return spread(of_pairs, both(marked, kept), sums);
  Tensor reached = Tensor::zeros(sums, DType::kBool);
  const std::int64_t features = sums[3], group = pairs[1] / marked.dim(1);
  for (std::int64_t row = 0; row < pairs[0] * pairs[1] * pairs[2]; ++row) {
    const std::int64_t head = row / pairs[2], b = head / pairs[1], h = head % pairs[1];
    const bool* values =
        marked.data<bool>() + (b * marked.dim(1) + h / group) * pairs[3] * features;
    bool* out = reached.data<bool>() + row * features;
    for (std::int64_t t = 0; t < pairs[3]; ++t) {
      if (!kept.data<bool>()[row * pairs[3] + t]) continue;
      for (std::int64_t j = 0; j < features; ++j) out[j] |= values[t * features + j];
    }
  }
  return reached;
}

}  // namespace

// dq_s = sum over kept t of g_st k_t;  dk_t = sum over s that keep t of g_st q_s
Variable attention_scores(const Variable& q, const Variable& k, const AttentionMask& mask) {
  check_no_sequence_mask(kAttentionScores, {&q, &k});
  check_rank(kAttentionScores, "q", q);
  check_rank(kAttentionScores, "k", k);
  const Shape pairs = {q.dim(0), q.dim(1), q.dim(2), k.dim(2)};
  check_pairs(kAttentionScores, q.shape(), k.shape(), pairs, mask);
  check(q.dim(3) == k.dim(3) && q.dtype() == k.dtype(), "attention_scores",
        "q is {} {}, k is {} {}: features and dtype must be the same", to_string(q.dtype()),
        q.shape(), to_string(k.dtype()), k.shape());
  const auto rule = [mask, q = q.value(), k = k.value()](const Tensor& g, Gradients& grads) {
    if (grads.needed(0)) grads.set(0, sum_over_keys(g, k, mask));
    if (grads.needed(1)) grads.set(1, sum_over_rows(g, q, mask, k.dim(1)));
  };
  return record(kAttentionScores, {&q, &k}, pair_products(q.value(), k.value(), mask),
                with_reach(rule, [=](std::size_t input, const Tensor& marked) {
                  return pairs_reached(input, marked, pairs, mask);
                }));
}

// dweights_st = g_s . v_t where kept, 0 elsewhere;  dv_t = sum over s that keep t of weights_st g_s
Variable attention_values(const Variable& weights, const Variable& v, const AttentionMask& mask) {
  check_no_sequence_mask(kAttentionValues, {&weights, &v});
  check_rank(kAttentionValues, "v", v);
  check(weights.rank() == 4 && weights.dim(3) == v.dim(2) && weights.dtype() == v.dtype(),
        "attention_values", "weights {} {} do not fit values {} {}", to_string(weights.dtype()),
        weights.shape(), to_string(v.dtype()), v.shape());
  const Shape pairs = weights.shape(), sums = pairs.with_dim(3, v.dim(3));
  check_pairs(kAttentionValues, weights.shape(), v.shape(), pairs, mask);
  const auto rule = [mask, weights = weights.value(), v = v.value()](const Tensor& g,
                                                                     Gradients& grads) {
    if (grads.needed(0)) grads.set(0, pair_products(g, v, mask));
    if (grads.needed(1)) grads.set(1, sum_over_rows(weights, g, mask, v.dim(1)));
  };
  return record(kAttentionValues, {&weights, &v}, sum_over_keys(weights.value(), v.value(), mask),
                with_reach(rule, [=](std::size_t input, const Tensor& marked) {
                  return sums_reached(input, marked, pairs, sums, mask);
                }));
}

Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v,
                                      const AttentionMask& mask, const AttentionOptions& options) {
  check_no_sequence_mask(kAttention, {&q, &k, &v, &options.bias});
  check_rank(kAttention, "q", q);
  check_rank(kAttention, "k", k);
  const AttentionMask kept = mask.defined() ? mask : AttentionMask::all(q.dim(2), k.dim(2));
  const Shape pairs = {q.dim(0), q.dim(1), q.dim(2), k.dim(2)};
  check_pairs(kAttention, q.shape(), k.shape(), pairs, kept);
  const double features = static_cast<double>(std::max<std::int64_t>(1, q.dim(3)));
  Variable scores =
      attention_scores(scale(q, options.scale.value_or(1 / std::sqrt(features))), k, kept);
  if (options.softcap) {
    const double cap = *options.softcap;
    check(cap > 0, "scaled_dot_product_attention", "softcap must be above 0, got {}", cap);
    scores = scale(tanh(scale(scores, 1 / cap)), cap);
  }
  if (options.bias.defined()) {
    check(can_broadcast(options.bias.shape(), pairs), "scaled_dot_product_attention",
          "a bias of {} does not fit pairs of {}", options.bias.shape(), pairs);
    scores = add(scores, options.bias);
  }
  const Variable weights = masked_softmax(scores, kept.to_bits());
  return attention_values(dropout(weights, options.dropout, options.random), v, kept);
}

AttentionPlan explain_attention(const AttentionMask& mask) {
  const MaskExplanation about = explain(mask);
  return {about, "kept pairs",
          fmt::format("each row goes through its {}, so products cost {:.0f}% of those without a "
                      "mask; the softmax keeps a row of all keys",
                      mask.form() == AttentionMask::Form::kBits ? "runs of bits" : "intervals",
                      100 * about.share())};
}

std::string to_string(const AttentionPlan& plan) {
  return fmt::format("{}kernel: {}: {}\n", to_string(plan.mask), plan.kernel, plan.reason);
}

}  // namespace maskgrad::ops
