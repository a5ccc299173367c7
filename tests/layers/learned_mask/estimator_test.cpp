// What gradients samplers estimate, on cases that are small enough to know.
#include <array>
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/learned_mask/score_function.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

#include "layers/learned_mask/sampler_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::agrees;
using test::Estimate;
using test::estimate;
using test::logistic_function;
using test::make;
using test::mean_over_noise;
using test::to_doubles;

constexpr std::int64_t kPositions = 3, kSequences = 2;
constexpr std::array<double, kPositions> kLogits = {-1.2, 0.3, 1.1};
// The loss of each of the 8 ways to keep three tokens, of two sequences whose losses lie far apart.
constexpr std::array<double, 8> kLosses = {2.0, 1.4, 0.9, 1.7, 0.2, 0.5, 1.1, -0.4};
constexpr std::array<double, kSequences> kOffsets = {3, 9};

double loss_of(std::int64_t sequence, const double* keep) {
  const auto bits = static_cast<std::size_t>(4 * keep[0] + 2 * keep[1] + keep[2]);
  return kLosses[bits] + kOffsets[static_cast<std::size_t>(sequence)];
}

// d/dlogit_s of the sum over both sequences of E[loss], by enumeration. The offsets do not count.
std::array<double, kPositions> exact_gradient() {
  std::array<double, kPositions> gradient{};
  for (std::size_t bits = 0; bits < 8; ++bits) {
    double p = 1;
    std::array<double, kPositions> slope{};
    for (std::size_t s = 0; s < kPositions; ++s) {
      const bool kept = bits >> (kPositions - 1 - s) & 1;
      const double open = logistic_function(kLogits[s]);
      p *= kept ? open : 1 - open;
      slope[s] = kept ? 1 - open : -open;
    }
    for (std::size_t s = 0; s < kPositions; ++s) {
      gradient[s] += kSequences * p * slope[s] * kLosses[bits];
    }
  }
  return gradient;
}

// The gradients of many steps, for one logit each.
std::array<std::vector<double>, kPositions> gradients_of(Baseline baseline, int steps) {
  constexpr std::int64_t kSamples = 4, kRows = kSequences * kSamples;
  ScoreFunction estimator({.baseline = baseline, .samples = kSamples, .decay = 0.9});
  std::array<std::vector<double>, kPositions> gradients;
  Variable logit = test::leaf(make({kLogits.begin(), kLogits.end()}, {1, kPositions}));
  const Variable rows(Tensor::zeros({kRows, kPositions}, DType::kFloat64));
  // A model that knows what the losses of a sequence have in common.
  Tensor known = Tensor::empty({kRows}, DType::kFloat64);
  for (std::int64_t r = 0; r < kRows; ++r) {
    known.data<double>()[r] = kOffsets[static_cast<std::size_t>(r / kSamples)] + 0.5;
  }
  const Variable predicted(known);
  for (int step = 0; step < steps; ++step) {
    logit.clear_grad();
    Tape tape;
    Pass pass = Pass::training(11, static_cast<std::uint64_t>(step));
    const KeepSample sample = Reinforce().sample(ops::add(logit, rows), pass);
    Tensor losses = Tensor::empty({kRows}, DType::kFloat64);
    for (std::int64_t r = 0; r < kRows; ++r) {
      losses.data<double>()[r] =
          loss_of(r / kSamples, sample.keep.value().data<double>() + r * kPositions);
    }
    tape.backward(baseline == Baseline::kLearned
                      ? estimator.surrogate(losses, sample.log_probability, predicted)
                      : estimator.surrogate(losses, sample.log_probability));
    for (std::size_t s = 0; s < kPositions; ++s)
      gradients[s].push_back(to_doubles(logit.grad())[s]);
  }
  return gradients;
}

double variance(const std::array<std::vector<double>, kPositions>& gradients) {
  double sum = 0;
  for (const auto& of_logit : gradients) {
    const Estimate e = estimate(of_logit);
    sum += e.error * e.error * static_cast<double>(of_logit.size());
  }
  return sum;
}

TEST(Reinforce, EstimatesTheExactGradientWithAnyBaseline) {
  const auto exact = exact_gradient();
  for (const Baseline baseline :
       {Baseline::kNone, Baseline::kRunning, Baseline::kLeaveOneOut, Baseline::kLearned}) {
    const auto gradients = gradients_of(baseline, 4000);
    for (std::size_t s = 0; s < kPositions; ++s) {
      EXPECT_TRUE(agrees(estimate(gradients[s]), exact[s])) << to_string(baseline) << ' ' << s;
    }
  }
}

// Two sequences that differ: a running average takes away what all losses have in common, and the
// other samples of a sequence also what its own have.
TEST(Reinforce, VariesLessWithABaselineAndLeastWithThatOfItsSequence) {
  const double none = variance(gradients_of(Baseline::kNone, 2000)),
               running = variance(gradients_of(Baseline::kRunning, 2000)),
               leave_one_out = variance(gradients_of(Baseline::kLeaveOneOut, 2000)),
               learned = variance(gradients_of(Baseline::kLearned, 2000));
  EXPECT_GT(none, 2 * running);
  EXPECT_GT(running, 4 * leave_one_out);
  EXPECT_GT(running, 4 * learned);
  RecordProperty("none", std::to_string(none));
  RecordProperty("running", std::to_string(running));
  RecordProperty("leave_one_out", std::to_string(leave_one_out));
  RecordProperty("learned", std::to_string(learned));
}

// Biased: its definition is the slope of the loss at the hard decision, times s (1 - s). The exact
// gradient of E[keep^3] would be s (1 - s) alone.
TEST(StraightThroughSampler, HasTheGradientOfItsDefinition) {
  const Variable logit = test::leaf(make({-0.7, 0.7}, {1, 2}));
  Pass pass = Pass::training(1, 1);
  Tape tape;
  const Variable keep = StraightThrough().sample(logit, pass).keep;
  tape.backward(ops::sum(ops::pow(keep, 3)));
  const double s = logistic_function(0.7);
  EXPECT_TRUE(test::is_close(logit.grad(), {0, 3 * s * (1 - s)}));
}

// The same slope where it drew 1, and none of keep^3 where it drew 0.
TEST(StraightThroughSampler, HasTheSameGradientWhereItDraws) {
  const Variable logits = test::leaf(Tensor::full({1, 60}, 0.7, DType::kFloat64));
  Pass pass = Pass::training(1, 1);
  Tape tape;
  const Variable keep = StraightThrough(/*draws=*/true).sample(logits, pass).keep;
  tape.backward(ops::sum(ops::pow(keep, 3)));
  const double s = logistic_function(0.7);
  const std::vector<double> drawn = to_doubles(keep.value()), slopes = to_doubles(logits.grad());
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    EXPECT_TRUE(drawn[i] == 0 || drawn[i] == 1);
    EXPECT_NEAR(slopes[i], drawn[i] * 3 * s * (1 - s), 1e-12);
  }
}

// Biased for hard decisions, and exact for its own relaxed ones: E[d keep^3 / dl] by quadrature.
TEST(RelaxedSamplers, EstimateTheGradientOfTheirOwnMean) {
  constexpr std::int64_t kDraws = 40'000;
  constexpr double kLow = -0.1, kSpan = 1.2;
  for (const double l : {-1.5, 0.4}) {
    const auto slope = [&](double n, double tau, double low, double span) {
      const double s = logistic_function((l + n) / tau), keep = s * span + low;
      return keep <= 0 || keep >= 1 ? 0 : 3 * keep * keep * span * s * (1 - s) / tau;
    };
    for (const char* name : {"gumbel", "hard-concrete"}) {
      const bool clips = std::string_view(name) == "hard-concrete";
      const Variable logits = test::logits_of(l, kDraws);
      Pass pass = Pass::training(13, 2);
      Tape tape;
      const Variable keep = make_sampler(name, Ramp::fixed(0.8))->sample(logits, pass).keep;
      tape.backward(ops::sum(ops::pow(keep, 3)));
      const double exact = mean_over_noise(
          [&](double n) { return clips ? slope(n, 2.0 / 3, kLow, kSpan) : slope(n, 0.8, 0, 1); });
      EXPECT_TRUE(agrees(estimate(to_doubles(logits.grad())), exact)) << name << ' ' << l;
    }
  }
}

TEST(ScoreFunction, WeighsEachRowByWhatItsBaselineLeaves) {
  Variable log_p = test::leaf(make({0, 0, 0, 0, 0, 0, 0, 0}, {4, 2}));
  const auto weights = [&](ScoreFunction& f) {
    log_p.clear_grad();
    Tape tape;
    tape.backward(f.surrogate(make({1, 3, 10, 20}, {4}), log_p));
    return to_doubles(log_p.grad());
  };
  ScoreFunction none({.baseline = Baseline::kNone, .samples = 2});
  ScoreFunction others({.baseline = Baseline::kLeaveOneOut, .samples = 2});
  ScoreFunction running({.baseline = Baseline::kRunning, .samples = 1, .decay = 0.75});
  EXPECT_THAT(weights(none), ::testing::ElementsAre(.5, .5, 1.5, 1.5, 5, 5, 10, 10));
  EXPECT_THAT(weights(others), ::testing::ElementsAre(-1, -1, 1, 1, -5, -5, 5, 5));
  EXPECT_THAT(weights(running), ::testing::ElementsAre(1, 1, 3, 3, 10, 10, 20, 20));
  EXPECT_EQ(running.running(), 8.5);
  EXPECT_THAT(weights(running),
              ::testing::ElementsAre(-7.5, -7.5, -5.5, -5.5, 1.5, 1.5, 11.5, 11.5));
  running.surrogate(make({0.5}, {1}), Variable(make({0, 0}, {1, 2})));
  EXPECT_EQ(running.running(), 0.75 * 8.5 + 0.25 * 0.5);
  running.set_running(2);
  EXPECT_THAT(weights(running), ::testing::ElementsAre(-1, -1, 1, 1, 8, 8, 18, 18));
}

TEST(ScoreFunction, WeighsByWhatIsPredictedAndTeachesThePrediction) {
  const Variable log_p = test::leaf(make({0, 0, 0, 0}, {2, 2}));
  const Variable predicted = test::leaf(make({2, 2}, {2}));
  ScoreFunction f({.baseline = Baseline::kLearned, .samples = 2});
  Tape tape;
  tape.backward(f.surrogate(make({1, 5}, {2}), log_p, predicted));
  EXPECT_THAT(to_doubles(log_p.grad()), ::testing::ElementsAre(-.5, -.5, 1.5, 1.5));
  EXPECT_THAT(to_doubles(predicted.grad()), ::testing::ElementsAre(.5, -1.5));
}

TEST(ScoreFunction, ReadsNoHole) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable log_p = test::leaf(make({-1, test::kNaN}, {1, 2}), mask);
  ScoreFunction f({.baseline = Baseline::kNone, .samples = 1});
  Tape tape;
  const Variable y = f.surrogate(make({2}, {1}), log_p);
  EXPECT_EQ(y.item(), -2);
  tape.backward(y);
  EXPECT_THAT(to_doubles(log_p.grad()), ::testing::ElementsAre(2, 0));
  EXPECT_EQ(f.surrogate(make({}, {0}), Variable(make({}, {0, 4}))).item(), 0);
}

TEST(ScoreFunction, RefusesWhatIsNoBatchOfSamples) {
  using test::error_of;
  EXPECT_EQ(error_of([] { ScoreFunction({.samples = 1}); }),
            "[score function] needs 2 samples of each sequence at least, not 1");
  EXPECT_EQ(error_of([] { ScoreFunction({.decay = 1}); }),
            "[score function] decay must be at least 0 and below 1, not 1");
  ScoreFunction f({.samples = 2});
  const Variable log_p(make({0, 0, 0}, {3, 1}));
  EXPECT_EQ(error_of([&] {
              f.surrogate(make({1, 2, 3}, {3}), log_p);
            }),
            "[score function] the rows are 2 samples of each sequence, and 3 is no multiple");
  EXPECT_EQ(error_of([&] {
              f.surrogate(make({1, 2}, {2}), log_p);
            }),
            "[score function] needs losses [R] and log probabilities [R, S], got float64 (2,) and "
            "(3, 1)");
  EXPECT_EQ(error_of([&] {
              f.surrogate(make({1, test::kNaN}, {2}), Variable(make({0, 0}, {2, 1})));
            }),
            "[score function] a loss is nan");
  EXPECT_EQ(
      error_of([&] {
        f.surrogate(make({1, 2}, {2}), Variable(make({0, 0}, {2, 1})), Variable(make({0, 0}, {2})));
      }),
      "[score function] takes predictions (2,) for a learned baseline alone, got (2,) for "
      "the baseline leave-one-out");
  ScoreFunction learned({.baseline = Baseline::kLearned, .samples = 2});
  EXPECT_EQ(error_of([&] {
              learned.surrogate(make({1, 2}, {2}), Variable(make({0, 0}, {2, 1})));
            }),
            "[score function] a learned baseline needs what was predicted of each row");
  EXPECT_EQ(error_of([] { baseline_from_string("mean"); }),
            "[baseline] 'mean' is not one of none, running, leave-one-out, learned");
  for (const Baseline b :
       {Baseline::kNone, Baseline::kRunning, Baseline::kLeaveOneOut, Baseline::kLearned}) {
    EXPECT_EQ(baseline_from_string(to_string(b)), b);
  }
}

}  // namespace
}  // namespace maskgrad
