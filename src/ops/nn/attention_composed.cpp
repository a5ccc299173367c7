#include <maskgrad/ops/cpu/attention/pairs.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/attention_reach.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kAttentionScores = register_op({
    .name = "attention_scores",
    .summary = "products of queries and keys for the kept pairs, 0 for the others",
    .inputs = {{.name = "q", .reach = Reach::kByCall, .gradient = Reads{"k"}},
               {.name = "k", .reach = Reach::kByCall, .gradient = Reads{"q"}},
               mask_input(Reach::kEverything)},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const Variable &q = call.input("q"), &k = call.input("k");
      const OpDef& op = find_op("attention_scores");
      check_defined(op, {&q, &k});
      return {attention_scores(q, k, mask_of_call(op, call, q.dim(-2), k.dim(-2)))};
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
    .inputs = {{.name = "weights", .reach = Reach::kByCall, .gradient = Reads{"v"}},
               {.name = "v", .reach = Reach::kByCall, .gradient = Reads{"weights"}},
               mask_input(Reach::kEverything)},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const Variable &weights = call.input("weights"), &v = call.input("v");
      const OpDef& op = find_op("attention_values");
      check_defined(op, {&weights, &v});
      return {attention_values(weights, v, mask_of_call(op, call, weights.dim(-2), v.dim(-2)))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"weights", sample_uniform(r, {2, 4, 3, 4})},
                {"v", sample_uniform(r, {2, 2, 4, 3})},
                {"mask", sample_bits(r, {2, 1, 3, 4})}}}};
    },
});

}  // namespace

// dq_s = sum over kept t of g_st k_t;  dk_t = sum over s that keep t of g_st q_s
Variable attention_scores(const Variable& q, const Variable& k, const AttentionMask& mask) {
  check_defined(kAttentionScores, {&q, &k});
  check_no_sequence_mask(kAttentionScores, {&q, &k});
  check_heads(kAttentionScores, "q", q);
  check_heads(kAttentionScores, "k", k);
  const Shape pairs = {q.dim(0), q.dim(1), q.dim(2), k.dim(2)};
  check_pairs(kAttentionScores, q.shape(), k.shape(), pairs, mask);
  check(q.dim(3) == k.dim(3) && q.dtype() == k.dtype(), "attention_scores",
        "q is {} {}, k is {} {}: features and dtype must be the same", to_string(q.dtype()),
        q.shape(), to_string(k.dtype()), k.shape());
  const auto rule = [mask, q = Saved(kAttentionScores, "q", q.value()),
                     k = Saved(kAttentionScores, "k", k.value())](const Tensor& g,
                                                                  Gradients& grads) {
    if (grads.needed(0)) grads.set(0, sum_over_keys(g, *k, mask));
    if (grads.needed(1)) grads.set(1, sum_over_rows(g, *q, mask, k->dim(1)));
  };
  return record(
      kAttentionScores, {&q, &k}, pair_products(q.value(), k.value(), mask),
      with_reach(rule, [=](std::size_t input, const Tensor& marked,
                           const Way& way) { return pairs_reached(input, marked, way, mask); }),
      {{"mask", mask}});
}

// dweights_st = g_s . v_t where kept, 0 elsewhere;  dv_t = sum over s that keep t of weights_st g_s
Variable attention_values(const Variable& weights, const Variable& v, const AttentionMask& mask) {
  check_defined(kAttentionValues, {&weights, &v});
  check_no_sequence_mask(kAttentionValues, {&weights, &v});
  check_heads(kAttentionValues, "v", v);
  check(weights.rank() == 4 && weights.dim(3) == v.dim(2) && weights.dtype() == v.dtype(),
        "attention_values", "weights {} {} do not fit values {} {}", to_string(weights.dtype()),
        weights.shape(), to_string(v.dtype()), v.shape());
  const Shape pairs = weights.shape();
  check_pairs(kAttentionValues, weights.shape(), v.shape(), pairs, mask);
  note_weights(weights, v, mask);
  const auto rule = [mask, weights = Saved(kAttentionValues, "weights", weights.value()),
                     v = Saved(kAttentionValues, "v", v.value())](const Tensor& g,
                                                                  Gradients& grads) {
    if (grads.needed(0)) grads.set(0, pair_products(g, *v, mask));
    if (grads.needed(1)) grads.set(1, sum_over_rows(*weights, g, mask, v->dim(1)));
  };
  return record(kAttentionValues, {&weights, &v}, sum_over_keys(weights.value(), v.value(), mask),
                with_reach(rule,
                           [=](std::size_t input, const Tensor& marked, const Way& way) {
                             return sums_reached(input, marked, way, pairs, mask);
                           }),
                {{"mask", mask}});
}

Variable composed_scores(const Variable& q, const Variable& k, const AttentionMask& mask,
                         const AttentionOptions& options) {
  Variable scores = attention_scores(scale(q, attention_scale(options, q.dim(3))), k, mask);
  if (options.softcap) scores = scale(tanh(scale(scores, 1 / *options.softcap)), *options.softcap);
  return options.bias.defined() ? add(scores, options.bias) : scores;
}

Variable composed_weights(const Variable& scores, const AttentionMask& mask) {
  return masked_softmax(scores, mask.to_bits());
}

Variable composed_attention(const Variable& q, const Variable& k, const Variable& v,
                            const AttentionPlan& plan, const AttentionOptions& options) {
  const AttentionMask& mask = plan.pairs();
  Variable weights = composed_weights(composed_scores(q, k, mask, options), mask);
  if (options.dropout != 0) {
    weights = dropout(weights, options.dropout, numbers_of_dropout("attention", options));
  }
  return attention_values(weights, v, mask);
}

}  // namespace maskgrad::ops
