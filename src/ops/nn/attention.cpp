#include <array>

#include <maskgrad/ops/cpu/attention/fused_call.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::ops {
namespace {

constexpr const char* kName = "scaled_dot_product_attention";

void check_ranks(const Variable& q, const Variable& k, const Variable& v) {
  check(q.rank() == 3 || q.rank() == 4, kName, "q must be [B, H, S, D] or [B, S, D], got {}",
        q.shape());
  check(k.rank() == q.rank() && v.rank() == q.rank(), kName,
        "k and v must have as many dimensions as q: {}, {}, {}", q.shape(), k.shape(), v.shape());
}

std::vector<Variable> call_attention(const OpCall& call) {
  const Variable &q = call.input("q"), &k = call.input("k"), &v = call.input("v");
  const OpDef& op = find_op(kName);
  check_defined(op, {&q, &k, &v});
  check_ranks(q, k, v);
  return {scaled_dot_product_attention(q, k, v, mask_of_call(op, call, q.dim(-2), k.dim(-2)),
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
               optional(mask_input(Reach::kEverything))},
    .args = attention_args(),
    .mask_rule = MaskRule::kUses,
    .call = call_attention,
    .samples = attention_samples,
});

void check_inputs(const Tensor& q, const Tensor& k, const Tensor& v) {
  check(q.dim(3) == k.dim(3) && q.dtype() == k.dtype() && is_floating(q.dtype()), kName,
        "q is {} {}, k is {} {}: features and dtype must be the same", to_string(q.dtype()),
        q.shape(), to_string(k.dtype()), k.shape());
  check(v.shape().slice(0, 3) == k.shape().slice(0, 3) && v.dtype() == k.dtype(), kName,
        "k is {} {}, v is {} {}: all but the features must be the same", to_string(k.dtype()),
        k.shape(), to_string(v.dtype()), v.shape());
}

Tensor empty_like(const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); }

}  // namespace

// softmax(s) v with s = scale q k^T + bias over the kept pairs; for the gradients see
// attention/backward.cpp
Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v,
                                      const AttentionMask& mask, const AttentionOptions& options) {
  check_defined(kAttention, {&q, &k, &v});
  check_no_sequence_mask(kAttention, {&q, &k, &v, &options.bias});
  check_ranks(q, k, v);
  const Saved queries(kAttention, "q", with_heads(q.value())),
      keys(kAttention, "k", with_heads(k.value())), values(kAttention, "v", with_heads(v.value()));
  check_inputs(*queries, *keys, *values);
  const auto call =
      make_ref<FusedCall>(kAttention, queries, keys, values, q.shape(), mask, options);
  auto rule = [=, q_shape = q.shape(), k_shape = k.shape(), v_shape = v.shape()](const Tensor& g,
                                                                                 Gradients& grads) {
    AttentionGradients d = {empty_like(*call->q), empty_like(*call->k), empty_like(*call->v), {}};
    call->set_gradients(g, call->has_bias() && grads.needed(3), d);
    if (grads.needed(0)) grads.set(0, d.q.reshape(q_shape));
    if (grads.needed(1)) grads.set(1, d.k.reshape(k_shape));
    if (grads.needed(2)) grads.set(2, d.v.reshape(v_shape));
    if (d.bias.defined()) grads.set(3, std::move(d.bias));
  };
  const Shape output = q.shape().with_dim(-1, v.dim(-1));
  const std::array<const Variable*, 4> inputs = {&q, &k, &v, &options.bias};
  return record(
      kAttention, std::span(inputs.data(), options.bias.defined() ? 4u : 3u),
      call->forward.output.reshape(output), options.queries,
      with_reach(std::move(rule), [=](std::size_t input, const Tensor& marked, const Way& way) {
        const bool is_bias = input == 3 && !way.back;
        return call->reached(input, is_bias ? marked : with_heads(marked), way.back)
            .reshape(way.to());
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
          fmt::format("computes {:.1f}% of all pairs, and keeps {:.1f}%; {} where a block of them "
                      "is not full",
                      100 * computed, 100 * about.share(),
                      mask.form() == AttentionMask::Form::kBits ? "bits are read"
                                                                : "intervals are compared")};
}

std::string to_string(const AttentionPlan& plan) {
  return fmt::format("{}kernel: {}: {}\n", to_string(plan.mask), plan.kernel, plan.reason);
}

}  // namespace maskgrad::ops
