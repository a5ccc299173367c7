#include <fmt/format.h>

#include <maskgrad/layers/gates/gated_feed_forward.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

namespace maskgrad {

GatedFeedForward::GatedFeedForward(std::int64_t features, std::int64_t hidden,
                                   const GatedFeedForwardOptions& options)
    : Layer("GatedFeedForward", MaskRule::kKeeps),
      activation_(options.activation),
      shortcut_(options.shortcut) {
  const char* const name = "GatedFeedForward";
  check_sizes(name, "features and hidden", features, hidden);
  check(!options.gates.empty(), name, "needs a layer");
  check(shortcut_ != Shortcut::kResidual || features == hidden, name,
        "adds {} features to {}; a residual needs as many hidden ones", features, hidden);
  std::int64_t inputs = features;
  for (const bool gated : options.gates) {
    const std::string number = fmt::format("{}", steps_.size() + 1);
    Step step = {&parameter("w" + number, {inputs, hidden}, glorot_uniform()),
                 &parameter("b" + number, {hidden}, zeros()), nullptr};
    if (gated) {
      step.gate = &submodule("gate" + number, std::make_unique<Gate>(hidden, options.gate));
    }
    steps_.push_back(step);
    inputs = hidden;
  }
}

std::optional<ops::Work> GatedFeedForward::row_work() const {
  ops::Work work;
  for (const Step& step : steps_) {
    work.per_position += 3 * step.w->shape().numel();
    if (step.gate) work.per_position += step.gate->row_work()->per_position;
  }
  return work;
}

Variable GatedFeedForward::through(const Step& step, const Variable& x, Pass& pass) const {
  const Variable h = project(x, *step.w, step.b, activation_);
  const Variable y = step.gate ? (*step.gate)(h, pass) : h;
  const bool is_skipped = shortcut_ == Shortcut::kSkip && x.dim(-1) == y.dim(-1);
  return is_skipped ? ops::add(x, y) : y;
}

Variable GatedFeedForward::forward(const Variable& x, Pass& pass) {
  check_features(kind(), x, steps_.front().w->shape()[0]);
  Variable y = x;
  for (const Step& step : steps_) y = through(step, y, pass);
  return shortcut_ == Shortcut::kResidual ? ops::add(x, y) : y;
}

}  // namespace maskgrad
