#include <cmath>
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/layers/learned_mask/sampler.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/finite.hpp>

#include "layers/learned_mask/sampler_support.hpp"
#include "layers/support.hpp"
#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::agrees;
using test::error_of;
using test::estimate;
using test::logistic_function;
using test::make;
using test::mask_of;
using test::mean_over_noise;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

// Each with a temperature where it has one.
std::vector<std::unique_ptr<Sampler>> all_samplers() {
  std::vector<std::unique_ptr<Sampler>> all;
  for (const std::string& name : sampler_names()) {
    all.push_back(make_sampler(name, Ramp::fixed(0.7)));
  }
  return all;
}

Tensor drawn(const Sampler& sampler, const Variable& logits, std::uint64_t step = 1) {
  Pass pass = Pass::training(5, step);
  return sampler.sample(logits, pass).keep.value();
}

TEST(Samplers, DecideByTheSignOfALogitThatExists) {
  const Variable logits(make({1, -1, 0, 1e-30, 5, test::kNaN}, {2, 3}), Variable::kConstant,
                        mask_of({1, 1, 1, 1, 0, 0}, {2, 3}));
  EXPECT_THAT(to_doubles(decide(logits).bits()), ElementsAre(1, 0, 0, 1, 0, 0));
  EXPECT_EQ(test::error_of([&] { decide(drop_mask(logits)); }), "[decide] a logit is NaN");
  EXPECT_THROW(decide(drop_mask(logits)), NotFiniteError);
  EXPECT_THAT(to_doubles(decide(Variable(make({test::kInf, -test::kInf}, {1, 2}))).bits()),
              ElementsAre(1, 0));
  EXPECT_EQ(decide(Variable(Tensor::empty({2, 0}, DType::kFloat32))).kept(), 0);
}

TEST(Samplers, GiveNumbersFromZeroToOneThatCarryNoOtherMask) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const auto& sampler : all_samplers()) {
      const SequenceMask mask = mask_of({1, 0, 1, 1, 1, 1}, {2, 3});
      const Variable with(test::uniform(random, {2, 3}).to(dtype), Variable::kConstant, mask);
      Pass pass = Pass::training(5, 1);
      const KeepSample masked = sampler->sample(with, pass);
      EXPECT_TRUE(masked.keep.mask() == mask) << sampler->name();
      EXPECT_TRUE(sampler->kept(with).mask() == mask) << sampler->name();
      const Variable without(with.value());
      const KeepSample sample = sampler->sample(without, pass);
      EXPECT_FALSE(sample.keep.mask().defined()) << sampler->name();
      EXPECT_EQ(sample.keep.dtype(), dtype);
      for (const double keep : to_doubles(sample.keep.value())) {
        EXPECT_GE(keep, 0) << sampler->name();
        EXPECT_LE(keep, 1) << sampler->name();
      }
      EXPECT_EQ(sample.log_probability.defined(), std::string_view(sampler->name()) == "reinforce");
    }
  }
}

TEST(Samplers, DrawTheSameWhateverPaddingPackingAndThreads) {
  Random random(2);
  const Tensor values = test::uniform(random, {2, 3});
  const SequenceMask mask = mask_of({0, 0, 1, 1, 1, 1, 0, 1, 0, 1}, {2, 5});
  constexpr std::int64_t kPlaces[] = {2, 3, 4, 5, 7, 9};
  Tensor padded = Tensor::full({2, 5}, test::kNaN, DType::kFloat64);
  for (std::size_t i = 0; i < 6; ++i) padded.data<double>()[kPlaces[i]] = to_doubles(values)[i];
  const Variable with(padded, Variable::kConstant, mask);
  const ops::Packing packing = ops::packing_of(mask);
  for (const auto& sampler : all_samplers()) {
    const std::vector<double> alone = to_doubles(drawn(*sampler, Variable(values)));
    const std::vector<double> among = to_doubles(drawn(*sampler, with));
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(among[static_cast<std::size_t>(kPlaces[i])], alone[i]) << sampler->name();
    }
    Pass row = Pass::training(5, 1).on_row(packing);
    EXPECT_EQ(to_doubles(sampler->sample(ops::pack(with, packing), row).keep.value()), alone);
    const Variable many(test::uniform(random, {5, 900}));
    const Tensor once = drawn(*sampler, many);
    const test::WithThreads three(3);
    EXPECT_TRUE(same_bits(drawn(*sampler, many), once)) << sampler->name();
  }
}

TEST(Samplers, DrawAnewForEachStepAndPlace) {
  const Variable logits(Tensor::zeros({3, 40}, DType::kFloat64));
  for (const char* name : {"gumbel", "hard-concrete", "reinforce"}) {
    const auto sampler = make_sampler(name);
    const Tensor one = drawn(*sampler, logits, 1), other = drawn(*sampler, logits, 2);
    EXPECT_TRUE(same_bits(drawn(*sampler, logits, 1), one));
    int alike = 0;
    for (std::size_t i = 0; i < 120; ++i) alike += to_doubles(one)[i] == to_doubles(other)[i];
    EXPECT_LT(alike, 90) << name;
    EXPECT_FALSE(same_bits(one.view(0, {40}), one.view(40, {40}))) << name;
  }
}

// By formula: a sampler that draws nothing.
TEST(Samplers, SoftAndStraightThroughFollowTheirFormulas) {
  const Variable logits(make({-3, -0.5, 0.5, 3}, {1, 4}));
  EXPECT_TRUE(
      test::is_close(drawn(SoftGate(), logits), {logistic_function(-3), logistic_function(-0.5),
                                                 logistic_function(0.5), logistic_function(3)}));
  EXPECT_THAT(to_doubles(drawn(StraightThrough(), logits)), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(to_doubles(StraightThrough().kept(logits).value()), ElementsAre(0, 0, 1, 1));
}

TEST(Samplers, StraightThroughThatDrawsKeepsWhatReinforceKeeps) {
  Random random(4);
  const Variable logits(test::uniform(random, {3, 50}));
  const StraightThrough draws(/*draws=*/true);
  for (const std::uint64_t step : {1u, 2u}) {
    EXPECT_TRUE(same_bits(drawn(draws, logits, step), drawn(Reinforce(), logits, step)));
  }
  EXPECT_TRUE(same_bits(draws.kept(logits).value(), SoftGate().kept(logits).value()));
}

constexpr std::int64_t kDraws = 40'000;

// The means of keep and keep^2, and the share above `least`, against quadrature and closed forms.
TEST(Samplers, DrawFromTheirDistributions) {
  for (const double logit : {-3.0, -0.4, 0.0, 1.5}) {
    const Variable logits = test::logits_of(logit, kDraws);
    const double beta = 2.0 / 3, s = logistic_function(logit);
    const auto concrete = [&](double n) {
      return std::clamp(logistic_function((logit + n) / beta) * 1.2 - 0.1, 0.0, 1.0);
    };
    const std::map<std::string, std::function<double(double)>> meaning = {
        {"gumbel", [&](double n) { return logistic_function((logit + n) / 0.7); }},
        {"hard-concrete", concrete},
        {"reinforce", [&](double n) { return logit + n > 0 ? 1.0 : 0.0; }}};
    for (const auto& [name, meant] : meaning) {
      const auto& f = meant;  // before version 16, clang lets no lambda refer to a binding
      const auto sampler = make_sampler(name, Ramp::fixed(0.7));
      const std::vector<double> keep = to_doubles(drawn(*sampler, logits));
      std::vector<double> squares, above;
      const double least = name == "hard-concrete" ? 0 : 0.5;
      for (const double k : keep) {
        squares.push_back(k * k);
        above.push_back(k > least);
      }
      EXPECT_TRUE(agrees(estimate(keep), mean_over_noise(f))) << name << " at " << logit;
      EXPECT_TRUE(agrees(estimate(squares), mean_over_noise([&](double n) { return f(n) * f(n); })))
          << name << " at " << logit;
      const double closed = to_doubles(sampler->kept(logits).value())[0];
      EXPECT_TRUE(agrees(estimate(above), closed)) << name << " at " << logit;
      if (name == "hard-concrete") continue;
      EXPECT_NEAR(closed, s, 1e-15);
    }
  }
}

TEST(Samplers, SoftOnesHaveTheSlopesOfWhatTheyGive) {
  Random random(3);
  const Variable x = test::leaf(test::uniform(random, {3, 5}, -4, 4));
  for (const char* name : {"soft", "gumbel", "hard-concrete"}) {
    const auto sampler = make_sampler(name);
    const auto keep = [&] {
      Pass pass = Pass::training(7, 3);
      return sampler->sample(x, pass).keep;
    };
    EXPECT_TRUE(test::gradients_agree(keep, {{"logits", x}})) << name;
    EXPECT_TRUE(test::gradients_agree([&] { return sampler->kept(x); }, {{"logits", x}})) << name;
  }
}

TEST(Samplers, TakeTheirTemperatureFromTheStep) {
  const GumbelSigmoid sampler({.first = 2, .last = 0.5, .begin = 0, .end = 10});
  const GumbelSigmoid warm(Ramp::fixed(1.25));
  const Variable logits(make({-1, 0, 1}, {1, 3}));
  EXPECT_TRUE(same_bits(drawn(sampler, logits, 5), drawn(warm, logits, 5)));
}

TEST(Samplers, StayFiniteAtExtremes) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const auto& sampler : all_samplers()) {
      const Variable x = test::leaf(make({-1e30, -800, 800, 1e30}, {2, 2}, dtype));
      Pass pass = Pass::training(7, 3);
      Tape tape;
      const KeepSample sample = sampler->sample(x, pass);
      EXPECT_THAT(to_doubles(sample.keep.value()), ElementsAre(0, 0, 1, 1)) << sampler->name();
      Variable sum = ops::sum(ops::add(sample.keep, sampler->kept(x)));
      if (sample.log_probability.defined()) sum = ops::add(sum, ops::sum(sample.log_probability));
      tape.backward(sum);
      for (const double g : to_doubles(x.grad())) EXPECT_EQ(g, 0) << sampler->name();
    }
  }
}

// An infinite logit is decided: its draw is as certain as one of 1e30, and teaches nothing.
TEST(Samplers, AreCertainOfInfiniteLogits) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const auto& sampler : all_samplers()) {
      const Variable x = test::leaf(make({-test::kInf, test::kInf}, {1, 2}, dtype));
      Pass pass = Pass::training(7, 3);
      Tape tape;
      const KeepSample sample = sampler->sample(x, pass);
      EXPECT_THAT(to_doubles(sample.keep.value()), ElementsAre(0, 1)) << sampler->name();
      EXPECT_THAT(to_doubles(sampler->kept(x).value()), ElementsAre(0, 1)) << sampler->name();
      Variable sum = ops::sum(ops::add(sample.keep, sampler->kept(x)));
      if (sample.log_probability.defined()) {
        EXPECT_THAT(to_doubles(sample.log_probability.value()), ElementsAre(0, 0));
        sum = ops::add(sum, ops::sum(sample.log_probability));
      }
      tape.backward(sum);
      EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 0)) << sampler->name();
    }
  }
}

TEST(Samplers, ShowALogitThatIsNoNumberAndReadNoneThatIsMissing) {
  for (const DType dtype : test::kFloatingDTypes) {
    auto samplers = all_samplers();
    samplers.push_back(std::make_unique<StraightThrough>(/*draws=*/true));
    for (const auto& sampler : samplers) {
      const Variable x(make({test::kNaN, 2, -2, test::kNaN}, {1, 4}, dtype), Variable::kConstant,
                       mask_of({1, 1, 1, 0}, {1, 4}));
      Pass pass = Pass::training(7, 3);
      const KeepSample sample = sampler->sample(x, pass);
      for (const Variable& y : {sample.keep, sampler->kept(x), sample.log_probability}) {
        if (!y.defined()) continue;
        const std::vector<double> values = to_doubles(y.value());
        EXPECT_TRUE(std::isnan(values[0])) << sampler->name();
        EXPECT_TRUE(std::isfinite(values[1]) && std::isfinite(values[2])) << sampler->name();
      }
    }
  }
}

// log s(l) or log s(-l), whichever was drawn.
TEST(Samplers, SayHowLikelyADrawWas) {
  Random random(6);
  const Variable x = test::leaf(test::uniform(random, {4, 40}, -30, 30));
  Pass pass = Pass::training(7, 3);
  Tape tape;
  const KeepSample sample = Reinforce().sample(x, pass);
  tape.backward(ops::sum(sample.log_probability));
  const std::vector<double> l = to_doubles(x.value()), keep = to_doubles(sample.keep.value()),
                            said = to_doubles(sample.log_probability.value()),
                            slope = to_doubles(x.grad());
  for (std::size_t i = 0; i < l.size(); ++i) {
    const double z = keep[i] == 1 ? l[i] : -l[i];
    EXPECT_NEAR(said[i], -std::log1p(std::exp(-z)), 1e-13);
    EXPECT_NEAR(slope[i], keep[i] - logistic_function(l[i]), 1e-13);
  }
}

TEST(Samplers, TakeBatchesOfNothing) {
  for (const auto& sampler : all_samplers()) {
    for (const Shape& shape : {Shape{0, 3}, Shape{2, 0}}) {
      const Variable x(Tensor::empty(shape, DType::kFloat32));
      EXPECT_EQ(drawn(*sampler, x).shape(), shape);
      EXPECT_EQ(sampler->kept(x).shape(), shape);
    }
  }
}

TEST(Samplers, RefuseWhatTheyCannotTake) {
  const Variable logits(Tensor::zeros({2, 3}, DType::kFloat32));
  const Variable cube(Tensor::zeros({2, 3, 1}, DType::kFloat32));
  Pass inference;
  for (const auto& sampler : all_samplers()) {
    Pass pass = Pass::training(1, 1);
    EXPECT_EQ(error_of([&] { sampler->sample(cube, pass); }),
              fmt::format("[{}] needs logits [B, S], got (2, 3, 1)", sampler->name()));
    EXPECT_EQ(error_of([&] { sampler->kept(Variable()); }),
              fmt::format("[{}] the logits was used before it was given a value", sampler->name()));
  }
  EXPECT_THAT(error_of([&] { Reinforce().sample(logits, inference); }),
              ::testing::HasSubstr("it is inference"));
  EXPECT_EQ(error_of([&] { decide(cube); }), "[decide] needs logits [B, S], got (2, 3, 1)");
  EXPECT_EQ(error_of([] { GumbelSigmoid(Ramp::fixed(0)); }),
            "[gumbel] a ramp has numbers above 0, not 0");
  EXPECT_EQ(error_of([] { GumbelSigmoid(Ramp::fixed(1e-310)); }),
            "[gumbel] a temperature of 1e-310 has no finite inverse");
  EXPECT_THAT(error_of([] { HardConcrete({.beta = 1e-310}); }),
              ::testing::StartsWith("[hard-concrete] needs beta above 0"));
  EXPECT_EQ(error_of([] { HardConcrete({.beta = 0.5, .low = 0, .high = 1.1}); }),
            "[hard-concrete] needs beta above 0, low below 0 and high above 1, got 0.5, 0 and 1.1");
  EXPECT_EQ(error_of([] { make_sampler("hard"); }),
            "[sampler] 'hard' is not one of soft, straight-through, gumbel, hard-concrete, "
            "reinforce");
}

}  // namespace
}  // namespace maskgrad
