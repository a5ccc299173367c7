#include <cmath>

#include <maskgrad/layers/learned_mask/mask_network.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "MaskNetwork";

const MaskNetworkOptions& checked_options(std::int64_t features, const MaskNetworkOptions& o) {
  check(features > 0 && o.hidden >= 0, kName,
        "needs features above 0, and hidden ones of at least 0; got {} and {}", features, o.hidden);
  check(o.bound == 0 || (o.bound > 0 && std::isfinite(o.bound) && std::isfinite(1 / o.bound)),
        kName, "needs a finite bound of at least 0, got {}", o.bound);
  check(std::isfinite(o.middle), kName, "needs a finite middle, got {}", o.middle);
  check(std::isfinite(o.open) && (o.bound == 0 || std::abs(o.open - o.middle) < o.bound), kName,
        "starts with a finite logit less than {} from {}, not with {}", o.bound, o.middle, o.open);
  return o;
}

}  // namespace

MaskNetwork::MaskNetwork(std::int64_t features, const MaskNetworkOptions& options)
    : Layer(kName, MaskRule::kKeeps),
      features_(features),
      options_(checked_options(features, options)) {
  const auto& [hidden, activation, bound, middle, open] = options_;
  if (hidden > 0) {
    w1_ = &parameter("w1", {features, hidden}, glorot_uniform());
    b1_ = &parameter("b1", {hidden}, zeros());
  }
  w2_ = &parameter("w2", {hidden > 0 ? hidden : features, 1}, glorot_uniform());
  const double start = open - middle;
  b2_ = &parameter("b2", {1}, constant(bound > 0 ? start / (1 - std::abs(start) / bound) : start));
}

std::optional<ops::Work> MaskNetwork::row_work() const {
  const std::int64_t first = w1_ ? w1_->shape().numel() : 0;
  return ops::Work{.per_position = 3 * (first + w2_->shape().numel())};
}

Variable MaskNetwork::forward(const Variable& x, Pass&) {
  check(x.rank() == 3 && x.dim(2) == features_, kName, "needs [B, S, {}], got {}", features_,
        x.shape());
  Variable h = x;
  if (w1_) h = apply(options_.activation, ops::linear(h, *w1_, *b1_));
  const Variable u = ops::reshape(ops::linear(h, *w2_, *b2_), {x.dim(0), x.dim(1)});
  const double bound = options_.bound;
  if (bound == 0) return options_.middle == 0 ? u : u + options_.middle;
  constexpr double kMost = 1e30;  // Inf / Inf would be NaN
  const Variable finite = ops::clip(u, -kMost, kMost);
  const Variable within = finite / (ops::abs(finite) + bound) * bound;
  return options_.middle == 0 ? within : within + options_.middle;
}

}  // namespace maskgrad
