#include <algorithm>
#include <cmath>
#include <limits>

#include <maskgrad/ops/cpu/attention/fused_call.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/attention_watch.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/checked.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad::ops {
namespace {

// How many pairs of B x H x S x T those of a mask's own shape are.
std::int64_t for_all(std::int64_t pairs, const Shape& mask, const Shape& all) {
  for (const int axis : {0, 1}) {
    if (mask[axis] != 1) continue;
    pairs = checked_multiply("attention_watch", "the pairs of a call", pairs, all[axis]);
  }
  return pairs;
}

// As in attention, a query whose kept scores are all -inf attends to nothing.
template <class T>
void clear_rows_without_scores(const Tensor& scores, Tensor& weights) {
  const std::int64_t keys = scores.dim(-1);
  const T* score = scores.data<T>();
  T* weight = weights.data<T>();
  for (std::int64_t i = 0; i < scores.numel(); i += keys) {
    const auto has_none = [&](std::int64_t t) {
      return weight[i + t] == 0 || score[i + t] == -std::numeric_limits<T>::infinity();
    };
    std::int64_t t = 0;
    while (t < keys && has_none(t)) ++t;
    if (t == keys) std::fill(weight + i, weight + i + keys, T{});
  }
}

Tensor weights_of(const Variable& q, const Variable& k, const AttentionMask& mask,
                  const AttentionOptions& options) {
  const Variable scores = composed_scores(q, k, mask, options);
  Tensor weights = composed_weights(scores, mask).value();
  if (weights.numel() == 0) return weights;
  dispatch_dtype(FloatingTypes{}, weights.dtype(), "attention_watch", [&]<class T>(T) {
    clear_rows_without_scores<T>(scores.value(), weights);
  });
  return weights;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(DType::kFloat64), y = b.to(DType::kFloat64);
  double largest = 0;
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const double difference = std::abs(x.data<double>()[i] - y.data<double>()[i]);
    if (!(difference <= largest)) largest = difference;  // NaN counts
  }
  return largest;
}

}  // namespace

std::int64_t SeenAttention::kept_pairs() const {
  return for_all(pairs.kept(), pairs.shape(), weights.shape());
}

SeenAttention seen_in(const FusedCall& call, const SequenceMask& queries) {
  const NoGrad no_grad;
  const AttentionProblem& p = call.problem;
  const Variable q(split_heads((*call.q).to(Device{}), call.heads.q)),
      k(split_heads(call.key_rows().to(Device{}), call.heads.k));
  AttentionOptions options = {.scale = p.scale, .softcap = p.softcap};
  SeenAttention seen = {.layer = Scope::path(), .pairs = p.mask, .queries = queries};
  seen.weights = weights_of(q, k, p.mask, options);
  if (call.has_bias()) {
    const Tensor without = seen.weights;
    options.bias = Variable((*call.bias).to(Device{}));
    seen.weights = weights_of(q, k, p.mask, options);
    seen.bias_effect = largest_difference(seen.weights, without);
  }
  seen.key_heads = p.key_heads;
  seen.features = p.features;
  seen.value_features = p.value_features;
  seen.computed_pairs = for_all(p.tiles.pairs(), p.mask.shape(), seen.weights.shape());
  return seen;
}

void note_weights(const Variable& weights, const Variable& v, const AttentionMask& mask) {
  AttentionWatch* const watch = AttentionWatch::innermost();
  if (!watch) return;
  const NoGrad no_grad;
  SeenAttention seen = {.layer = Scope::path(), .pairs = mask};
  seen.weights = keep_where(weights, mask.to_bits(), 0.0).value().to(Device{});
  seen.key_heads = v.dim(1);
  seen.value_features = v.dim(3);
  seen.computed_pairs = seen.kept_pairs();
  watch->note(std::move(seen));
}

}  // namespace maskgrad::ops
