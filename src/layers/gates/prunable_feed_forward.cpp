#include <cmath>

#include <maskgrad/layers/bits_where.hpp>
#include <maskgrad/layers/feed_forward.hpp>
#include <maskgrad/layers/gates/prunable_feed_forward.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/math/straight_through.hpp>
#include <maskgrad/ops/shape/gather.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "PrunableFeedForward";

// The features whose gate is open.
Tensor open_in(const Tensor& gates) {
  Tensor places = open_places(kName, gates);
  check(places.numel() > 0, kName, "all {} hidden features are closed", gates.numel());
  return places;
}

}  // namespace

PrunableFeedForward::PrunableFeedForward(std::int64_t features, std::int64_t hidden,
                                         const PrunableFeedForwardOptions& options)
    : Layer(kName, MaskRule::kKeeps), activation_(options.activation), hard_(options.hard) {
  check_sizes(kName, "features and hidden", features, hidden);
  check(std::isfinite(options.start), kName, "needs gates that start finite, got {}",
        options.start);
  w1_ = &parameter("w1", {features, hidden}, glorot_uniform());
  b1_ = &parameter("b1", {hidden}, zeros());
  w2_ = &parameter("w2", {hidden, features}, glorot_uniform());
  b2_ = &parameter("b2", {features}, zeros());
  gates_ = &parameter("gates", {hidden}, constant(options.start));
}

Variable PrunableFeedForward::open_features() const { return ops::sum(ops::sigmoid(*gates_)); }

std::optional<Hardened> PrunableFeedForward::harden() {
  const Tensor open = open_in(gates_->variable().value());
  const auto taken = [&](const Parameter& from, std::int64_t axis) {
    return ops::index_select(Variable(from.variable().value()), axis, open).value();
  };
  Hardened hard;
  hard.layer = std::make_unique<FeedForward>(b2_->shape()[0], open.numel(),
                                             FeedForwardOptions{.activation = activation_});
  hard.values = {{"w1", taken(*w1_, 1)},
                 {"b1", taken(*b1_, 0)},
                 {"w2", taken(*w2_, 0)},
                 {"b2", b2_->variable().value()}};
  hard.says = fmt::format("keeps {} of {} hidden features", open.numel(), gates_->shape()[0]);
  return hard;
}

std::optional<ops::Work> PrunableFeedForward::row_work() const {
  return ops::Work{.per_position = 6 * w1_->shape().numel()};
}

Variable PrunableFeedForward::forward(const Variable& x, Pass&) {
  check_features(kind(), x, w1_->shape()[0]);
  const Variable h = project(x, *w1_, b1_, activation_);
  const Variable open = hard_ ? ops::straight_through(*gates_) : ops::sigmoid(*gates_);
  return project(ops::multiply(h, open), *w2_, b2_);
}

}  // namespace maskgrad
