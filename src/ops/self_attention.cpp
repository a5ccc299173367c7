#include <array>

#include <maskgrad/ops/attention/common.hpp>
#include <maskgrad/ops/attention/problem.hpp>
#include <maskgrad/ops/attention/reach.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/self_attention.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kSelfAttention = register_op({
    .name = "self_attention",
    .summary = "attention over queries, keys and values that stand one after another",
    .inputs = {{.name = "qkv", .reach = Reach::kByCall},
               {.name = "bias", .reach = Reach::kByCall, .optional = true},
               optional(mask_input(Reach::kEverything))},
    .args = attention_args(),
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const Variable& qkv = call.input("qkv");
      return {
          self_attention(qkv, mask_of_call(call, qkv.dim(-2), qkv.dim(-2)), options_of_call(call))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples = {
          {{{"qkv", sample_uniform(r, {3, 2, 4, 2})}, {"mask", sample_bits(r, {4, 4})}}},
          {{{"qkv", sample_uniform(r, {3, 2, 2, 3, 2})}, {"mask", sample_bits(r, {2, 1, 3, 3})}},
           {{"softcap", 1.5}, {"scale", 0.7}}},
          {{{"qkv", sample_uniform(r, {3, 1, 3, 2})}, {"bias", sample_uniform(r, {3, 1})}},
           {{"dropout", 0.3}}}};
      // Query 1 sees nothing, and nobody sees key 2.
      samples.push_back(
          {{{"qkv", sample_uniform(r, {3, 1, 4, 2})}, {"mask", sample_bits(r, {4, 4})}}});
      bool* keep = samples.back().inputs["mask"].data<bool>();
      for (std::int64_t i = 0; i < 16; ++i) keep[i] = i / 4 != 1 && i % 4 != 2;
      return samples;
    },
});

// Number i of the three, with heads.
Tensor part_of(const Tensor& qkv, std::int64_t i) {
  const Shape one = qkv.shape().slice(1, qkv.rank());
  return with_heads(qkv.view(i * one.numel(), one));
}

void check_shape(const Variable& qkv) {
  check((qkv.rank() == 4 || qkv.rank() == 5) && qkv.dim(0) == 3 && is_floating(qkv.dtype()),
        kSelfAttention.name.c_str(), "needs floating [3, B, H, S, D] or [3, B, S, D], got {} {}",
        to_string(qkv.dtype()), qkv.shape());
}

// What depends on marked places of one of the three may depend on those of another.
Tensor reached(std::size_t input, const Tensor& marked, const Shape& pairs, const Shape& output,
               const AttentionMask& mask) {
  if (input == 1) return attention_reached(3, marked, pairs, output, mask);
  Tensor places = Tensor::zeros(output, DType::kBool);
  for (std::size_t i = 0; i < 3; ++i) {
    const Tensor part = part_of(marked, static_cast<std::int64_t>(i));
    places = either(places, attention_reached(i, part, pairs, output, mask));
  }
  return places;
}

}  // namespace

// As scaled_dot_product_attention()
Variable self_attention(const Variable& qkv, const AttentionMask& mask,
                        const AttentionOptions& options) {
  check_no_sequence_mask(kSelfAttention, {&qkv, &options.bias});
  check_shape(qkv);
  const Tensor q = part_of(qkv.value(), 0), k = part_of(qkv.value(), 1),
               v = part_of(qkv.value(), 2);
  const Shape output = qkv.shape().slice(1, qkv.rank());
  const Shape pairs = {q.dim(0), q.dim(1), q.dim(2), k.dim(2)};
  const AttentionMask kept = mask.defined() ? mask : AttentionMask::all(pairs[2], pairs[3]);
  check_pairs(kSelfAttention, q.shape(), k.shape(), pairs, kept);
  check_options(kSelfAttention, options, q.dtype(), pairs);
  check_queries(kSelfAttention, options.queries, output, kept);
  AttentionProblem problem = AttentionProblem::of(q, k, v, kept, options);
  const AttentionForward forward = fused_attention(problem, q, k, v);
  const Shape sums = forward.output.shape();
  auto rule = [=, problem = std::move(problem)](const Tensor& g, Gradients& grads) {
    const Shape all = Shape{3}.concat(output);
    Tensor d = grads.needed(0) ? grads.buffer(0) : Tensor::empty(all, g.dtype(), g.device());
    AttentionGradients parts = {part_of(d, 0), part_of(d, 1), part_of(d, 2), {}};
    const bool bias = problem.bias.defined() && grads.needed(1);
    if (bias) parts.bias = Tensor::zeros(problem.bias.shape(), g.dtype(), g.device());
    fused_attention_gradients(problem, q, k, v, forward, with_heads(g), parts);
    if (bias) grads.set(1, std::move(parts.bias));
  };
  const std::array<const Variable*, 2> inputs = {&qkv, &options.bias};
  return record(kSelfAttention, std::span(inputs.data(), options.bias.defined() ? 2u : 1u),
                forward.output.reshape(output), options.queries,
                with_reach(std::move(rule), [=](std::size_t input, const Tensor& marked) {
                  return reached(input, marked, pairs, sums, kept).reshape(output);
                }));
}

}  // namespace maskgrad::ops
