#include <maskgrad/layers/feed_forward.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>

namespace maskgrad {

FeedForward::FeedForward(std::int64_t features, std::int64_t hidden,
                         const FeedForwardOptions& options)
    : Layer("FeedForward", MaskRule::kKeeps), activation_(options.activation) {
  check_sizes("FeedForward", "features and hidden", features, hidden);
  const auto bias = [&](const char* name, std::int64_t size) {
    return options.bias ? &parameter(name, {size}, zeros()) : nullptr;
  };
  w1_ = &parameter("w1", {features, hidden}, glorot_uniform());
  b1_ = bias("b1", hidden);
  if (options.gated) {
    v_ = &parameter("v", {features, hidden}, glorot_uniform());
    c_ = bias("c", hidden);
  }
  w2_ = &parameter("w2", {hidden, features}, options.output);
  b2_ = bias("b2", features);
}

std::optional<ops::Work> FeedForward::row_work() const {
  const std::int64_t matrices = v_ ? 3 : 2;
  return ops::Work{.per_position = 3 * matrices * w1_->shape().numel()};
}

Variable FeedForward::forward(const Variable& x, Pass&) {
  const Variable y = v_ ? gated_linear_unit(x, activation_, *w1_, b1_, *v_, c_)
                        : project(x, *w1_, b1_, activation_);
  return project(y, *w2_, b2_);
}

}  // namespace maskgrad
