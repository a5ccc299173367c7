#include <cmath>

#include <maskgrad/layers/adaptive_attention/gated_attention.hpp>
#include <maskgrad/layers/bits_where.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/math/straight_through.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "GatedAttention";

std::unique_ptr<MultiHeadAttention> heads_of(std::int64_t features, std::int64_t heads,
                                             const GatedAttentionOptions& options) {
  check(options.attention.output_matrix, kName, "has an output matrix");
  check(std::isfinite(options.bias) && std::isfinite(options.head_start), kName,
        "needs gates that start finite, got {} and {}", options.bias, options.head_start);
  MultiHeadAttentionOptions own = options.attention;
  own.output_matrix = false;
  return std::make_unique<MultiHeadAttention>(features, heads, own);
}

// The entries along `axis` that belong to these heads of `head` features.
Tensor taken(const Tensor& from, std::int64_t axis, const std::vector<std::int64_t>& heads,
             std::int64_t head) {
  Tensor places = Tensor::empty({std::ssize(heads) * head}, DType::kInt64);
  std::int64_t* place = places.data<std::int64_t>();
  for (const std::int64_t h : heads) {
    for (std::int64_t i = 0; i < head; ++i) *place++ = h * head + i;
  }
  return ops::index_select(Variable(from), axis, places).value();
}

}  // namespace

GatedAttention::GatedAttention(std::int64_t features, std::int64_t heads,
                               const GatedAttentionOptions& options)
    : Layer("GatedAttention", MaskRule::kUses),
      options_(options),
      features_(features),
      heads_(heads),
      attention_(submodule("heads", heads_of(features, heads, options))),
      head_(attention_.head_features()) {
  if (options.gates != AttentionGates::kNone) {
    const std::int64_t gates = options.gates == AttentionGates::kHeads ? heads : heads * head_;
    gate_ = &parameter("gate", {features, gates}, glorot_uniform());
    gate_bias_ = &parameter("gate_bias", {gates}, constant(options.bias));
  }
  if (options.head_gates != HeadGates::kNone) {
    head_gates_ = &parameter("head_gates", {heads}, constant(options.head_start));
  }
  o_ = &parameter("o", {heads * head_, features}, options.attention.output);
  if (options.attention.bias) o_bias_ = &parameter("o_bias", {features}, zeros());
}

std::vector<std::int64_t> GatedAttention::open() const {
  const Tensor heads = open_places(kName, head_gates_->variable().value());
  const auto numbers = heads.values<std::int64_t>();
  return {numbers.begin(), numbers.end()};
}

Variable GatedAttention::head_gates() const {
  check(head_gates_ != nullptr, kName, "has no gates on heads");
  return options_.head_gates == HeadGates::kSoft ? ops::sigmoid(*head_gates_)
                                                 : ops::straight_through(*head_gates_);
}

Variable GatedAttention::open_heads() const { return ops::sum(head_gates()); }

std::optional<ops::Work> GatedAttention::row_work() const {
  const std::int64_t own = o_->shape().numel() + (gate_ ? gate_->shape().numel() : 0);
  return *attention_.row_work() + ops::Work{.per_position = 3 * own};
}

// Gates of each head, or none, on y [B, S, H, d].
Variable GatedAttention::with_head_gates(const Variable& y, const Pass& pass) const {
  if (!head_gates_) return y;
  const Variable gates = ops::reshape(head_gates(), {heads_, 1});
  if (options_.head_gates == HeadGates::kSoft || pass.is_training()) return ops::multiply(y, gates);
  // A gate that is NaN gives NaN, as in training.
  const Tensor open = not_closed(kName, head_gates_->variable().value());
  return ops::multiply(ops::keep_where(y, open.reshape({heads_, 1})), Variable(gates.value()));
}

Variable GatedAttention::gated(const Variable& x, const Variable& heads, const Pass& pass) const {
  const std::int64_t batch = x.dim(0), length = x.dim(1);
  Variable y = with_head_gates(ops::reshape(heads, {batch, length, heads_, head_}), pass);
  if (gate_) {
    const Variable g = ops::sigmoid(ops::linear(x, *gate_, *gate_bias_));
    const std::int64_t each = options_.gates == AttentionGates::kHeads ? 1 : head_;
    y = ops::multiply(ops::reshape(g, {batch, length, heads_, each}), y);
  }
  return ops::reshape(y, {batch, length, heads_ * head_});
}

Variable GatedAttention::forward(const Variable& x, Pass& pass) {
  check_sequences(kName, x, features_);
  return project(gated(x, attention_(x, pass), pass), *o_, o_bias_);
}

GatedAttentionOptions GatedAttention::pruned_options() const {
  GatedAttentionOptions options = options_;
  options.head_gates = HeadGates::kNone;
  options.attention.key_heads = 0;
  options.attention.head_features = head_;
  return options;
}

std::optional<Hardened> GatedAttention::harden() {
  if (!head_gates_) return std::nullopt;
  const std::vector<std::int64_t> heads = open();
  check(!heads.empty(), kName, "all {} heads are closed", heads_);
  const std::int64_t key_heads =
      options_.attention.key_heads ? options_.attention.key_heads : heads_;
  std::vector<std::int64_t> of_keys;
  for (const std::int64_t h : heads) of_keys.push_back(h / (heads_ / key_heads));

  Hardened pruned;
  pruned.says = fmt::format("keeps {} of {} heads", heads.size(), heads_);
  pruned.layer = std::make_unique<GatedAttention>(features_, std::ssize(heads), pruned_options());
  for (const auto& [name, parameter] : parameters()) {
    const Tensor value = parameter->variable().value();
    if (name == "head_gates") continue;
    if (name == "o_bias") {
      pruned.values.emplace(name, value);
    } else if (name == "o") {
      pruned.values.emplace(name, taken(value, 0, heads, head_));
    } else if (name.starts_with("gate")) {
      const std::int64_t each = options_.gates == AttentionGates::kHeads ? 1 : head_;
      pruned.values.emplace(name, taken(value, -1, heads, each));
    } else {
      const bool is_query = name.starts_with("heads.q");
      pruned.values.emplace(name, taken(value, -1, is_query ? heads : of_keys, head_));
    }
  }
  return pruned;
}

}  // namespace maskgrad
