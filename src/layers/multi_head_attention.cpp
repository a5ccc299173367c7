#include <limits>

#include <maskgrad/layers/bits_where.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

// The features of a head, of which `given` are asked for.
std::int64_t checked_head(const char* name, std::int64_t features, std::int64_t heads,
                          std::int64_t key_heads, std::int64_t given) {
  checked_features(name, features);
  check(given >= 0, name, "heads need features above 0, got {}", given);
  check(heads > 0 && (given > 0 || features % heads == 0), name,
        "{} heads do not divide {} features", heads, features);
  check(key_heads > 0 && heads % key_heads == 0, name, "{} heads of keys do not divide {} heads",
        key_heads, heads);
  return given > 0 ? given : features / heads;
}

// `shares`, and 1 where no key is kept. What is divided is 0 there, and its gradient stays bounded.
Variable divisor_of(const char* name, const Variable& shares) {
  const auto is_some = [](auto share) { return !(share < std::numeric_limits<float>::min()); };
  return ops::keep_where(shares, bits_where(name, shares.value(), is_some), 1.0);
}

// keep, and 0 where x does not exist, whatever stands there.
Variable keep_of(const Variable& keep, const Variable& x) {
  const Variable filled = ops::fill_masked(keep);
  if (!x.mask().defined() || keep.mask() == x.mask()) return filled;
  return ops::keep_where(filled, x.mask().bits());
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(std::int64_t features, std::int64_t heads,
                                       const MultiHeadAttentionOptions& options)
    : MultiHeadAttention("MultiHeadAttention", MaskRule::kUses, features, heads, options) {}

MultiHeadAttention::MultiHeadAttention(std::string kind, MaskRule rule, std::int64_t features,
                                       std::int64_t heads, const MultiHeadAttentionOptions& options)
    : Layer(std::move(kind), rule),
      features_(features),
      heads_(heads),
      key_heads_(options.key_heads ? options.key_heads : heads),
      kind_(options.kind),
      rotary_(options.rotary) {
  const char* const name = this->kind().c_str();
  head_ = checked_head(name, features, heads, key_heads_, options.head_features);
  if (rotary_) ops::check_rotary(name, *rotary_, head_);
  const std::int64_t of_queries = heads * head_, of_keys = key_heads_ * head_;
  q_ = projection("q", features, of_queries, options.bias, glorot_uniform());
  k_ = projection("k", features, of_keys, options.bias, glorot_uniform());
  v_ = projection("v", features, of_keys, options.bias, glorot_uniform());
  if (!options.output_matrix) return;
  o_ = projection("o", of_queries, features, options.bias, options.output);
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
  for (const Projection& p : {q_, k_, v_, o_}) elements += p.weight ? p.weight->shape().numel() : 0;
  return ops::Work{.per_position = 3 * elements, .per_pair = (7 * head_ + 32) * heads_};
}

void MultiHeadAttention::check_input(const Variable& x) const {
  check_sequences(kind().c_str(), x, features_);
}

// Without its mask, which the plan has, and with 0 at what does not exist.
Variable MultiHeadAttention::input_of(const Variable& x) const {
  check_input(x);
  return ops::fill_masked(x);
}

Variable MultiHeadAttention::of(const Variable& x, const Projection& p) {
  return project(x, *p.weight, p.bias);
}

// Queries, keys and values of one size: [3, B, S, D].
Variable MultiHeadAttention::stacked(const Variable& x) const {
  const Variable &q = *q_.weight, &k = *k_.weight, &v = *v_.weight;
  if (!q_.bias) return ops::stacked_matmul(x, {&q, &k, &v});
  return ops::stacked_linear(x, {&q, &k, &v},
                             {&q_.bias->variable(), &k_.bias->variable(), &v_.bias->variable()});
}

Variable MultiHeadAttention::rotated(const Variable& x, std::int64_t heads,
                                     const Tensor& positions) const {
  ops::RotaryOptions options = *rotary_;
  options.heads = heads;
  return ops::rotary_embedding(x, positions, options);
}

// Those of `input`, which holds x without its mask.
MultiHeadAttention::Parts MultiHeadAttention::parts_of(const Variable& x, const Variable& input,
                                                       Pass& pass) const {
  if (is_stacked()) {
    const Tensor qkv = stacked(input).value();
    return {Variable(qkv[0]), Variable(qkv[1]), Variable(qkv[2])};
  }
  Parts parts = {of(input, q_), of(input, k_), of(input, v_)};
  if (!rotary_) return parts;
  const Tensor positions = pass.positions(x);
  parts.q = rotated(parts.q, heads_, positions);
  parts.k = rotated(parts.k, key_heads_, positions);
  return parts;
}

Variable MultiHeadAttention::heads_of(const Variable& q, const Variable& k, const Variable& v,
                                      const Attended& attended) const {
  ops::AttentionOptions options;
  options.heads = heads_;
  options.bias = attended.bias;
  return ops::scaled_dot_product_attention(q, k, v, attended.plan, options);
}

Variable MultiHeadAttention::average(const Variable& q, const Variable& k, const Variable& v,
                                     const Attended& attended) const {
  return output_of(heads_of(q, k, v, attended));
}

Variable MultiHeadAttention::output_of(const Variable& heads) const {
  return o_.weight ? of(heads, o_) : heads;
}

Variable MultiHeadAttention::attend_within(const Variable& x, const ops::AttentionPlan& plan,
                                           ops::AttentionOptions options) const {
  options.heads = heads_;
  return output_of(ops::self_attention(stacked(x), plan, options));
}

MultiHeadAttention::Attended MultiHeadAttention::attended(const Variable& x, Pass& pass) {
  return {pass.attention(x, kind_)};
}

Variable MultiHeadAttention::forward(const Variable& x, Pass& pass) {
  const Variable input = input_of(x);
  if (is_stacked() && !pass.is_reading()) {
    const Attended attended = this->attended(x, pass);
    ops::AttentionOptions options;
    options.bias = attended.bias;
    return with_mask_of(x, attend_within(input, attended.plan, std::move(options)));
  }
  const Parts parts = parts_of(x, input, pass);
  const Attended attended = this->attended(x, pass);
  const auto [keys, values] = pass.with_cache(x, parts.k, parts.v);
  return with_mask_of(x, average(parts.q, keys, values, attended));
}

// The numerator and the denominator are attention to keep v and to keep.
Variable MultiHeadAttention::attend_kept(const Variable& x, const Variable& keep, Pass& pass) {
  const char* const name = kind().c_str();
  check_given(x.defined() && keep.defined(), name, "an input");
  check(is_stacked() && mask_rule() == MaskRule::kUses && !pass.is_reading(), name,
        "keys are kept in part neither where they are rotated, shared or read from a cache, nor "
        "where masks end");
  return checked(x, pass, [&] {
    const Variable input = input_of(x);
    const std::int64_t batch = x.dim(0), length = x.dim(1);
    check(keep.shape() == x.shape().slice(0, 2), name, "needs keep {}, got {}",
          x.shape().slice(0, 2), keep.shape());
    const Variable column = ops::reshape(keep_of(keep, x), {batch, length, 1});
    const Variable q = of(input, q_), k = of(input, k_);
    const Attended attended = this->attended(x, pass);
    const Variable sums = heads_of(q, k, ops::multiply(of(input, v_), column), attended);
    const Variable shares =
        heads_of(q, k, ops::broadcast_to(column, {batch, length, heads_}), attended);
    const Variable y =
        ops::divide(ops::reshape(sums, {batch, length, heads_, head_}),
                    ops::reshape(divisor_of(name, shares), {batch, length, heads_, 1}));
    return with_mask_of(x, output_of(ops::reshape(y, {batch, length, heads_ * head_})));
  });
}

Variable MultiHeadAttention::attend(const Variable& x, const Variable& memory, Pass& pass) {
  const char* const name = kind().c_str();
  check_given(x.defined() && memory.defined(), name, "an input");
  check(kind_ == AttentionKind::kBidirectional && !rotary_, name,
        "attention to another sequence is neither causal nor rotated");
  check(mask_rule() == MaskRule::kUses, name, "attention to another sequence uses masks");
  return checked(x, pass, [&] {
    const Variable keys = input_of(memory);
    return with_mask_of(
        x, average(of(input_of(x), q_), of(keys, k_), of(keys, v_), {pass.attention(x, memory)}));
  });
}

}  // namespace maskgrad
