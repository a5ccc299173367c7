#include <cmath>

#include <fmt/format.h>

#include <maskgrad/layers/learned_mask/keep_noise.hpp>
#include <maskgrad/layers/learned_mask/sampler.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/ops/math/straight_through.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

constexpr const char* kNames[] = {"soft", "straight-through", "gumbel", "hard-concrete",
                                  "reinforce"};

Variable shifted(const Variable& x, double by) { return by == 0 ? x : x + by; }

// s((l + n) / temperature)
Variable relaxed(const Variable& logits, double temperature, Pass& pass) {
  const Variable noisy = ops::add(logits, Variable(logistic_noise(logits, pass)));
  return ops::sigmoid(ops::scale(noisy, 1 / temperature));
}

// 1 where l > -n, which is l + n > 0, and 0 elsewhere; NaN where l is.
Tensor drawn_by(const Variable& logits, const Tensor& noise) {
  const NoGrad no_grad;
  const Variable noisy = ops::add(Variable(logits.value()), Variable(noise));
  Tensor y = ops::straight_through(noisy).value();
  drop_holes(y, logits.mask());
  return y;
}

}  // namespace

void Sampler::check_logits(const char* name, const Variable& logits) {
  check_given(logits.defined(), name, "the logits");
  check(logits.rank() == 2, name, "needs logits [B, S], got {}", logits.shape());
}

Variable Sampler::kept(const Variable& logits) const {
  check_logits(name(), logits);
  return ops::sigmoid(logits);
}

SequenceMask decide(const Variable& logits) {
  check_given(logits.defined(), "decide", "the logits");
  check(logits.rank() == 2, "decide", "needs logits [B, S], got {}", logits.shape());
  const Tensor here = logits.value().to(Device{});
  const bool* const exists = logits.mask().defined() ? logits.mask().bits().data<bool>() : nullptr;
  Tensor bits = Tensor::zeros(here.shape(), DType::kBool);
  bool* const keep = bits.data<bool>();
  dispatch_dtype(FloatingTypes{}, here.dtype(), "decide", [&]<class T>(T) {
    const T* const logit = here.data<T>();
    for (std::int64_t i = 0; i < here.numel(); ++i) {
      if (exists && !exists[i]) continue;
      if (std::isnan(logit[i])) throw NotFiniteError("decide", "a logit is NaN");
      keep[i] = logit[i] > 0;
    }
  });
  return SequenceMask(bits);
}

KeepSample SoftGate::sample(const Variable& logits, Pass&) const { return {kept(logits), {}}; }

KeepSample StraightThrough::sample(const Variable& logits, Pass& pass) const {
  if (!draws_) return {kept(logits), {}};
  const Tensor drawn = Reinforce().sample(logits, pass).keep.value();
  const Variable share = kept(logits), value(share.value(), Variable::kConstant, share.mask());
  const Variable decided(drawn, Variable::kConstant, share.mask());
  return {ops::add(decided, ops::subtract(share, value)), {}};
}

Variable StraightThrough::kept(const Variable& logits) const {
  check_logits("straight-through", logits);
  return draws_ ? ops::sigmoid(logits) : ops::straight_through(logits);
}

GumbelSigmoid::GumbelSigmoid(const Ramp& temperature) : temperature_(temperature) {
  check_ramp("gumbel", temperature, 0, /*is_above=*/true);
  for (const double number : {temperature.first, temperature.last}) {
    check(std::isfinite(1 / number), "gumbel", "a temperature of {} has no finite inverse", number);
  }
}

KeepSample GumbelSigmoid::sample(const Variable& logits, Pass& pass) const {
  check_logits("gumbel", logits);
  return {relaxed(logits, temperature_.at(static_cast<std::int64_t>(pass.step())), pass), {}};
}

HardConcrete::HardConcrete(const Options& options) : options_(options) {
  const auto& [beta, low, high] = options_;
  check(beta > 0 && std::isfinite(beta) && std::isfinite(1 / beta) && low < 0 &&
            std::isfinite(low) && high > 1 && std::isfinite(high),
        "hard-concrete", "needs beta above 0, low below 0 and high above 1, got {}, {} and {}",
        beta, low, high);
}

KeepSample HardConcrete::sample(const Variable& logits, Pass& pass) const {
  check_logits("hard-concrete", logits);
  const auto& [beta, low, high] = options_;
  const Variable share = relaxed(logits, beta, pass);
  return {ops::clip(shifted(ops::scale(share, high - low), low), 0.0, 1.0), {}};
}

Variable HardConcrete::kept(const Variable& logits) const {
  check_logits("hard-concrete", logits);
  const auto& [beta, low, high] = options_;
  return ops::sigmoid(shifted(logits, -beta * std::log(-low / high)));
}

// log s(l) = -softplus(-l) of what is kept, and log s(-l) = -softplus(l) of what is dropped: a sum
// of both, weighed by 0 and 1, would be NaN where l is infinite.
KeepSample Reinforce::sample(const Variable& logits, Pass& pass) const {
  check_logits("reinforce", logits);
  const Variable keep(drawn_by(logits, logistic_noise(logits, pass)), Variable::kConstant,
                      logits.mask());
  const Variable against = ops::multiply(1 - 2 * keep, logits);
  return {keep, ops::negate(ops::softplus(against))};
}

std::vector<std::string> sampler_names() { return {std::begin(kNames), std::end(kNames)}; }

std::unique_ptr<Sampler> make_sampler(std::string_view name, const Ramp& temperature) {
  if (name == kNames[0]) return std::make_unique<SoftGate>();
  if (name == kNames[1]) return std::make_unique<StraightThrough>();
  if (name == kNames[2]) return std::make_unique<GumbelSigmoid>(temperature);
  if (name == kNames[3]) return std::make_unique<HardConcrete>();
  if (name == kNames[4]) return std::make_unique<Reinforce>();
  fail("sampler", "'{}' is not one of {}", shortened(name), fmt::join(sampler_names(), ", "));
}

}  // namespace maskgrad
