#include <array>
#include <cmath>

#include <maskgrad/ops/attention.hpp>
#include <maskgrad/ops/attention/common.hpp>
#include <maskgrad/ops/attention/problem.hpp>
#include <maskgrad/ops/attention/reach.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

std::vector<Variable> call_attention(const OpCall& call) {
  const Variable &q = call.input("q"), &k = call.input("k");
  return {scaled_dot_product_attention(
      q, k, call.input("v"), mask_of_call(call, q.dim(-2), k.dim(-2)), options_of_call(call))};
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
  // Query 1 sees nothing, and nobody sees key 2.
  samples.push_back(sample(2, 1, {3, 4}));
  bool* keep = samples.back().inputs["mask"].data<bool>();
  for (std::int64_t i = 0; i < 12; ++i) keep[i] = i / 4 != 1 && i % 4 != 2;
  return samples;
}

const OpDef& kAttention = register_op({
    .name = "scaled_dot_product_attention",
    .summary = "values averaged by softmax over the kept pairs of queries and keys",
    .inputs = {{.name = "q", .reach = Reach::kByCall},
               {.name = "k", .reach = Reach::kByCall},
               {.name = "v", .reach = Reach::kByCall},
               {.name = "bias", .reach = Reach::kByCall, .optional = true},
               optional(mask_input(Reach::kEverything))},
    .args = attention_args(),
    .mask_rule = MaskRule::kUses,
    .call = call_attention,
    .samples = attention_samples,
});

void check_ranks(const Variable& q, const Variable& k, const Variable& v) {
  const char* name = kAttention.name.c_str();
  check(q.rank() == 3 || q.rank() == 4, name, "q must be [B, H, S, D] or [B, S, D], got {}",
        q.shape());
  check(k.rank() == q.rank() && v.rank() == q.rank(), name,
        "k and v must have as many dimensions as q: {}, {}, {}", q.shape(), k.shape(), v.shape());
}

void check_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                  const Shape& pairs) {
  const char* name = kAttention.name.c_str();
  check_pairs(kAttention, q.shape(), k.shape(), pairs, mask);
  check(q.dim(3) == k.dim(3) && q.dtype() == k.dtype() && is_floating(q.dtype()), name,
        "q is {} {}, k is {} {}: features and dtype must be the same", to_string(q.dtype()),
        q.shape(), to_string(k.dtype()), k.shape());
  check(v.shape().slice(0, 3) == k.shape().slice(0, 3) && v.dtype() == k.dtype(), name,
        "k is {} {}, v is {} {}: all but the features must be the same", to_string(k.dtype()),
        k.shape(), to_string(v.dtype()), v.shape());
}

}  // namespace

// softmax(s) v with s = scale q k^T + bias over the kept pairs; for the gradients see
// attention/backward.cpp
Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v,
                                      const AttentionMask& mask, const AttentionOptions& options) {
  check_no_sequence_mask(kAttention, {&q, &k, &v, &options.bias});
  check_ranks(q, k, v);
  const Tensor queries = with_heads(q.value()), keys = with_heads(k.value()),
               values = with_heads(v.value());
  const Shape pairs = {queries.dim(0), queries.dim(1), queries.dim(2), keys.dim(2)};
  const AttentionMask kept = mask.defined() ? mask : AttentionMask::all(pairs[2], pairs[3]);
  check_inputs(queries, keys, values, kept, pairs);
  check_options(kAttention, options, q.dtype(), pairs);
  check_queries(kAttention, options.queries, q.shape(), kept);
  AttentionProblem problem = AttentionProblem::of(queries, keys, values, kept, options);
  const AttentionForward forward = fused_attention(problem, queries, keys, values);
  const Shape sums = forward.output.shape(), output = q.shape().with_dim(-1, v.dim(-1));
  auto rule = [=, problem = std::move(problem), q_shape = q.shape(), k_shape = k.shape(),
               v_shape = v.shape()](const Tensor& g, Gradients& grads) {
    const auto like = [](const Tensor& x) {
      return Tensor::empty(x.shape(), x.dtype(), x.device());
    };
    AttentionGradients d = {like(queries), like(keys), like(values), {}};
    const bool bias = problem.bias.defined() && grads.needed(3);
    if (bias) d.bias = Tensor::zeros(problem.bias.shape(), g.dtype(), g.device());
    fused_attention_gradients(problem, queries, keys, values, forward, with_heads(g), d);
    if (grads.needed(0)) grads.set(0, d.q.reshape(q_shape));
    if (grads.needed(1)) grads.set(1, d.k.reshape(k_shape));
    if (grads.needed(2)) grads.set(2, d.v.reshape(v_shape));
    if (bias) grads.set(3, std::move(d.bias));
  };
  const std::array<const Variable*, 4> inputs = {&q, &k, &v, &options.bias};
  return record(kAttention, std::span(inputs.data(), options.bias.defined() ? 4u : 3u),
                forward.output.reshape(output), options.queries,
                with_reach(std::move(rule), [=](std::size_t input, const Tensor& marked) {
                  const Tensor of_heads = input == 3 ? marked : with_heads(marked);
                  return attention_reached(input, of_heads, pairs, sums, kept).reshape(output);
                }));
}

AttentionPlan explain_attention(const AttentionMask& mask) {
  const MaskExplanation about = explain(mask, AttentionTiles::kQueries);
  const AttentionTiles tiles(mask);
  const bool one =
      mask.shape()[2] <= AttentionTiles::kQueries && mask.shape()[3] <= AttentionTiles::kKeys;
  const double computed =
      about.pairs ? static_cast<double>(tiles.pairs()) / static_cast<double>(about.pairs) : 0.0;
  return {about, one ? "one tile a head" : "tiles",
          fmt::format("computes {:.1f}% of all pairs, and keeps {:.1f}%; {}", 100 * computed,
                      100 * about.share(),
                      mask.form() == AttentionMask::Form::kBits
                          ? "bits are read for each tile that is neither full nor empty"
                          : "intervals are compared where a tile is neither full nor empty")};
}

std::string to_string(const AttentionPlan& plan) {
  return fmt::format("{}kernel: {}: {}\n", to_string(plan.mask), plan.kernel, plan.reason);
}

}  // namespace maskgrad::ops
