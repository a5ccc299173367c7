#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/optim/schedule.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ToyOptions;
using test::ToyRun;
using Kind = Schedule::Kind;

TEST(Schedule, IsConstantUnlessToldOtherwise) {
  for (const std::int64_t step : {0, 1, 99}) EXPECT_EQ(Schedule{}.factor(step, 100), 1.0);
}

TEST(Schedule, RisesInEqualStepsToTheWholeRate) {
  const Schedule schedule = {.warmup_steps = 4};
  const double expected[] = {0.25, 0.5, 0.75, 1.0, 1.0};
  for (int step = 0; step < 5; ++step) EXPECT_EQ(schedule.factor(step, 100), expected[step]);
  EXPECT_EQ(schedule.factor(1, 2), 0.5) << "a run may end before";
}

// cos(pi/4) = sqrt(1/2), cos(pi/3) = 1/2.
TEST(Schedule, FallsByHalfAPeriodOfACosineBehindTheWarmUp) {
  const Schedule schedule = {.kind = Kind::kCosine, .warmup_steps = 10};
  EXPECT_EQ(schedule.factor(4, 130), 0.5);
  EXPECT_EQ(schedule.factor(10, 130), 1.0);
  EXPECT_NEAR(schedule.factor(40, 130), (1 + std::sqrt(0.5)) / 2, 1e-15);
  EXPECT_NEAR(schedule.factor(50, 130), 0.75, 1e-15);
  EXPECT_NEAR(schedule.factor(70, 130), 0.5, 1e-15);
  EXPECT_NEAR(schedule.factor(90, 130), 0.25, 1e-15);
  for (int step = 11; step < 130; ++step) {
    EXPECT_LT(schedule.factor(step, 130), schedule.factor(step - 1, 130));
    EXPECT_GT(schedule.factor(step, 130), 0.0);
  }
}

TEST(Schedule, StaysAndDecaysInALineOverTheLastShare) {
  const Schedule schedule = {.kind = Kind::kWsd, .warmup_steps = 2};
  EXPECT_EQ(schedule.factor(0, 200), 0.5);
  for (int step = 1; step <= 180; ++step) EXPECT_EQ(schedule.factor(step, 200), 1.0) << step;
  for (int step = 181; step < 200; ++step) {
    EXPECT_NEAR(schedule.factor(step, 200), (200 - step) / 20.0, 1e-15);
  }
  const Schedule half = {.kind = Kind::kWsd, .decay_share = 0.5};
  EXPECT_EQ(half.factor(75, 100), 0.5);
  EXPECT_EQ(Schedule{.kind = Kind::kWsd}.factor(0, 1), 1.0) << "no run trains with rate 0";
}

TEST(Schedule, NeverLeavesTheUnitIntervalWhateverItsLength) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const Kind kind : {Kind::kConstant, Kind::kCosine, Kind::kWsd}) {
    for (const std::int64_t total : {std::int64_t{1}, std::int64_t{7}, kMost}) {
      for (const std::int64_t warmup : {std::int64_t{0}, std::int64_t{6}, kMost}) {
        for (const std::int64_t step : {std::int64_t{0}, total / 2, total - 1}) {
          const double factor = Schedule{kind, warmup}.factor(step, total);
          EXPECT_TRUE(factor >= 0.0 && factor <= 1.0) << factor;
        }
      }
    }
  }
}

TEST(Schedule, SaysInTimeHowManyStepsItSpans) {
  const Schedule constant = {.warmup_steps = 3};
  EXPECT_EQ(constant.steps_in_time(10, 10, 0.99), std::nullopt) << "no rate depends on them";
  const Schedule cosine = {.kind = Kind::kCosine, .warmup_steps = 10};
  EXPECT_EQ(cosine.steps_in_time(9, 9, 0.05), std::nullopt) << "the warm-up goes on";
  EXPECT_EQ(cosine.steps_in_time(10, 10, 0.05), 200);
  EXPECT_EQ(cosine.steps_in_time(110, 10, 0.05), 300) << "of a run that went on behind step 100";
  const Schedule wsd = {.kind = Kind::kWsd, .decay_share = 0.25};
  EXPECT_EQ(wsd.steps_in_time(749, 749, 0.749), std::nullopt) << "there is time for more";
  EXPECT_EQ(wsd.steps_in_time(750, 750, 0.75), 1000);
  EXPECT_EQ(wsd.steps_in_time(6494, 1, 0.01), std::nullopt) << "one slow step shows no pace";
  EXPECT_EQ(wsd.steps_in_time(900, 900, 0.9), 1200) << "asked too late, it ends too late";
}

TEST(Schedule, HasGivenEveryStepBeforeTheRateOfTheStepsItSays) {
  for (const Kind kind : {Kind::kCosine, Kind::kWsd}) {
    for (const double share : {0.01, 0.1, 0.37, 0.9, 1.0}) {
      const Schedule schedule = {.kind = kind, .warmup_steps = 5, .decay_share = share};
      for (std::int64_t steps = 1; steps < 300; ++steps) {
        const auto total = schedule.steps_in_time(steps, steps, static_cast<double>(steps) / 311);
        if (!total) continue;
        ASSERT_GT(*total, steps);
        for (std::int64_t step = 0; step < steps; ++step) {
          ASSERT_EQ(schedule.factor(step, *total), schedule.factor(step, Trainer::kUnknown))
              << to_string(kind) << ' ' << share << ": step " << step << " of " << *total;
        }
        break;
      }
    }
  }
}

TEST(Schedule, HasANameThatIsReadAgain) {
  for (const Kind kind : {Kind::kConstant, Kind::kCosine, Kind::kWsd}) {
    EXPECT_EQ(schedule_from_string(to_string(kind)), kind);
  }
  EXPECT_EQ(error_of([] { schedule_from_string("linear"); }),
            "[schedule] 'linear' is not one of constant, cosine, wsd");
  EXPECT_THAT(schedule_names(), ::testing::ElementsAre("constant", "cosine", "wsd"));
}

TEST(Schedule, ThatMakesNoSenseIsRefused) {
  EXPECT_EQ(error_of([] { ToyRun({.training = {.schedule = {.warmup_steps = -1}}}); }),
            "[train] warmup_steps must be at least 0, not -1");
  EXPECT_EQ(error_of([] { ToyRun({.training = {.schedule = {.decay_share = 0}}}); }),
            "[train] decay_share must be above 0 and at most 1, not 0");
}

// Without momentum a step moves the weights by its rate times the gradient.
TEST(Schedule, IsWhatTheTrainerStepsWith) {
  const ToyOptions constant = {.training = {.lr = 0.25}, .sgd = true};
  ToyOptions rising = {.training = {.lr = 1.0, .schedule = {.warmup_steps = 4}}, .sgd = true};
  ToyRun a(constant), b(rising);
  a.trainer->step(a.loader->next());
  b.trainer->step(b.loader->next());
  EXPECT_TRUE(test::same_bits(a.parameters->values(), b.parameters->values()));
}

struct Rates : Callback {
  explicit Rates(std::vector<double>& all) : rates(all) {}
  void on_step(const Trainer& trainer, const StepInfo& step) override {
    EXPECT_EQ(step.lr, trainer.learning_rate(step.step));
    rates.push_back(step.lr);
  }
  std::vector<double>& rates;
};

TEST(Schedule, GivesARunThatGoesOnTheRatesOfTheUnbrokenOne) {
  for (const Kind kind : {Kind::kCosine, Kind::kWsd}) {
    const ToyOptions options = {
        .training = {.lr = 0.1,
                     .schedule = {.kind = kind, .warmup_steps = 3, .decay_share = 0.5},
                     .epochs = 4,
                     .max_steps = 11,
                     .checkpoint_every = 1}};
    std::vector<double> expected;
    ToyRun unbroken(options);
    unbroken.trainer->add(std::make_unique<Rates>(expected));
    unbroken.run();
    ASSERT_EQ(expected.size(), 11U);
    EXPECT_EQ(expected[2], 0.1);
    EXPECT_LT(expected[10], 0.02);
    for (const std::int64_t broken_at : {1, 3, 5, 8}) {
      const test::ScratchFolder folder;
      std::vector<double> rates;
      {
        ToyRun first(options);
        first.trainer->add(std::make_unique<Rates>(rates));
        first.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
        test::stop_after(first, broken_at);
      }
      ToyRun second = test::from_checkpoint(options, folder.path());
      second.trainer->add(std::make_unique<Rates>(rates));
      second.run();
      EXPECT_EQ(rates, expected) << broken_at;
      EXPECT_TRUE(test::same_bits(second.parameters->values(), unbroken.parameters->values()));
    }
  }
}

}  // namespace
}  // namespace maskgrad
