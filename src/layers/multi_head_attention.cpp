#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "MultiHeadAttention";

// The features of a head.
std::int64_t checked_head(std::int64_t features, std::int64_t heads, std::int64_t key_heads) {
  check(heads > 0 && features % heads == 0, kName, "{} heads do not divide {} features", heads,
        features);
  check(key_heads > 0 && heads % key_heads == 0, kName, "{} heads of keys do not divide {} heads",
        key_heads, heads);
  return features / heads;
}

// A plan between two sequences, or with a cache, does not say which queries exist.
Variable with_mask_of(const Variable& x, const Variable& y) {
  return x.mask().defined() && !y.mask().defined() ? ops::with_mask(y, x.mask()) : y;
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(std::int64_t features, std::int64_t heads,
                                       const MultiHeadAttentionOptions& options)
    : Layer("MultiHeadAttention", MaskRule::kUses),
      features_(features),
      heads_(heads),
      key_heads_(options.key_heads ? options.key_heads : heads),
      kind_(options.kind),
      rotary_(options.rotary) {
  const std::int64_t head = checked_head(features, heads, key_heads_);
  check(!rotary_ || head % 2 == 0, kName, "a head of {} features cannot be rotated by pairs", head);
  q_ = projection("q", features, features, options.bias, glorot_uniform());
  k_ = projection("k", features, key_heads_ * head, options.bias, glorot_uniform());
  v_ = projection("v", features, key_heads_ * head, options.bias, glorot_uniform());
  o_ = projection("o", features, features, options.bias, options.output);
}

MultiHeadAttention::Projection MultiHeadAttention::projection(const std::string& name,
                                                              std::int64_t inputs,
                                                              std::int64_t outputs, bool bias,
                                                              const Initializer& start) {
  return {&parameter(name, {inputs, outputs}, start),
          bias ? &parameter(name + "_bias", {outputs}, zeros()) : nullptr};
}

std::optional<ops::Work> MultiHeadAttention::row_work() const {
  std::int64_t elements = 0;
  for (const Projection& p : {q_, k_, v_, o_}) elements += p.weight->shape().numel();
  return ops::Work{.per_position = 3 * elements, .per_pair = 7 * features_ + 32 * heads_};
}

// Without its mask, which the plan has, and with 0 at what does not exist.
Variable MultiHeadAttention::input_of(const Variable& x) const {
  check(x.rank() == 3 && x.dim(2) == features_, kName, "needs [B, S, {}], got {}", features_,
        x.shape());
  return drop_mask(ops::fill_masked(x));
}

Variable MultiHeadAttention::of(const Variable& x, const Projection& p) {
  return project(x, *p.weight, p.bias);
}

Variable MultiHeadAttention::rotated(const Variable& x, std::int64_t heads,
                                     const Tensor& positions) const {
  ops::RotaryOptions options = *rotary_;
  options.heads = heads;
  return ops::rotary_embedding(x, positions, options);
}

Variable MultiHeadAttention::average(const Variable& q, const Variable& k, const Variable& v,
                                     const ops::AttentionPlan& plan) const {
  ops::AttentionOptions options;
  options.heads = heads_;
  return of(ops::scaled_dot_product_attention(q, k, v, plan, options), o_);
}

Variable MultiHeadAttention::forward(const Variable& x, Pass& pass) {
  const Variable input = input_of(x);
  Variable q = of(input, q_), k = of(input, k_);
  if (rotary_) {
    const Tensor positions = pass.positions(x);
    q = rotated(q, heads_, positions);
    k = rotated(k, key_heads_, positions);
  }
  const ops::AttentionPlan plan = pass.attention(x, kind_);
  const auto [keys, values] = pass.with_cache(x, k, of(input, v_));
  return with_mask_of(x, average(q, keys, values, plan));
}

Variable MultiHeadAttention::attend(const Variable& x, const Variable& memory, Pass& pass) {
  check_given(x.defined() && memory.defined(), kName, "an input");
  check(kind_ == AttentionKind::kBidirectional && !rotary_, kName,
        "attention to another sequence is neither causal nor rotated");
  const Scope scope(name());
  const Variable keys = input_of(memory);
  return with_mask_of(
      x, average(of(input_of(x), q_), of(keys, k_), of(keys, v_), pass.attention(x, memory)));
}

}  // namespace maskgrad
