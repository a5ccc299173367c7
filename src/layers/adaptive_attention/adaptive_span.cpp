#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/layers/adaptive_attention/adaptive_span.hpp>
#include <maskgrad/layers/adaptive_attention/head_windows.hpp>
#include <maskgrad/layers/bits_where.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 30;
constexpr const char* kName = "AdaptiveSpan";

double checked_start(std::int64_t most, const AdaptiveSpanOptions& options) {
  check(most > 0 && most <= kMost, kName, "needs spans of 1 to {}, got {}", kMost, most);
  check(options.ramp <= static_cast<double>(kMost) && std::isfinite(1 / options.ramp) &&
            options.ramp > 0,
        kName, "needs a ramp above 0 and at most {}, got {}", kMost, options.ramp);
  check(options.start > 0 && options.start < 1, kName, "needs a start between 0 and 1, got {}",
        options.start);
  return std::log(options.start / (1 - options.start));
}

// 1 - x / R for the distances x = 0 .. count-1, [1, count].
Tensor slope(std::int64_t count, double ramp, const Variable& like) {
  Tensor values = Tensor::empty({1, count}, like.dtype());
  dispatch_dtype(FloatingTypes{}, values.dtype(), kName, [&]<class T>(T) {
    for (std::int64_t x = 0; x < count; ++x) {
      values.data<T>()[x] = static_cast<T>(1 - static_cast<double>(x) / ramp);
    }
  });
  return values.to(like.device());
}

// The furthest distance of each row [H, count] that is kept; 0 where none is.
PoolVector<std::int64_t> furthest(const Tensor& keep) {
  PoolVector<std::int64_t> found;
  const std::int64_t count = keep.dim(1);
  for (std::int64_t h = 0; h < keep.dim(0); ++h) {
    const bool* const row = keep.data<bool>() + h * count;
    found.push_back(std::max<std::int64_t>(std::count(row, row + count, true) - 1, 0));
  }
  return found;
}

}  // namespace

AdaptiveSpan::AdaptiveSpan(std::int64_t features, std::int64_t heads, std::int64_t most,
                           const AdaptiveSpanOptions& options)
    : MultiHeadAttention("AdaptiveSpan", MaskRule::kUses, features, heads, options.attention),
      options_(options),
      features_(features),
      most_(most),
      span_(parameter("span", {heads}, constant(checked_start(most, options)))) {}

Variable AdaptiveSpan::spans() const {
  return ops::scale(ops::sigmoid(span_), static_cast<double>(most_));
}

Variable AdaptiveSpan::penalty() const { return ops::mean(spans()); }

// m(x) for the distances x = 0 .. count-1, [H, count].
Variable AdaptiveSpan::weights(std::int64_t count) const {
  const Variable z = ops::reshape(spans(), {heads(), 1});
  const Variable from(slope(count, options_.ramp, z));
  return ops::clip(ops::add(ops::scale(z, 1 / options_.ramp), from), 0.0, 1.0);
}

Variable AdaptiveSpan::attend(const Variable&, const Variable&, Pass&) {
  fail(kName, "does not attend to another sequence: its spans are within one");
}

MultiHeadAttention::Attended AdaptiveSpan::attended(const Variable& x, Pass& pass) {
  const std::int64_t queries = x.dim(1);
  const std::int64_t keys = pass.attention(x, attention_kind()).pairs().shape()[3];
  // At this distance all weights are 0.
  const auto nothing = most_ + static_cast<std::int64_t>(std::ceil(options_.ramp));
  const std::int64_t count =
      std::max<std::int64_t>(std::min(nothing + 1, std::max(queries, keys)), 1);
  const Variable m = weights(count);
  const Tensor keep = not_closed(kName, m.value());
  // Pairs of weight 0 are left out, so their logarithm may be any number.
  const Variable logarithms = ops::log(ops::keep_where(m, keep, 1.0));
  const Tensor apart = distances(x, pass, count - 1, keys);
  const Variable each = ops::index_select(logarithms, 1, apart.reshape({apart.shape().numel()}));
  const Variable bias =
      ops::permute(ops::reshape(each, {heads(), apart.dim(0), queries, keys}), {1, 0, 2, 3});
  return {pass.attention(x, attention_kind(), furthest(keep)), bias};
}

std::optional<Hardened> AdaptiveSpan::harden() {
  std::vector<std::int64_t> windows;
  const Tensor z = spans().value().to(Device{}).to(DType::kFloat64);
  for (const double span : z.values<double>()) {
    check(!std::isnan(span), kName, "a span is NaN");
    windows.push_back(static_cast<std::int64_t>(std::floor(span + options_.ramp / 2)));
  }
  Hardened hard;
  hard.says = fmt::format("looks at most {} far", fmt::join(windows, ", "));
  hard.layer = std::make_unique<WindowAttention>(features_, std::move(windows), options_.attention);
  for (const auto& [name, parameter] : parameters()) {
    if (name != "span") hard.values.emplace(name, parameter->variable().value());
  }
  return hard;
}

}  // namespace maskgrad
