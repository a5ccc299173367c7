#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Notes;
using test::ToyRun;
using ::testing::ElementsAre;
using Outcome = Trainer::Outcome;

TEST(Trainer, LowersTheLoss) {
  ToyRun toy({.training = {.lr = 0.03, .epochs = 60}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  EXPECT_EQ(toy.run(), Outcome::kDone);
  ASSERT_EQ(kept.epoch_losses.size(), 60U);
  EXPECT_GT(kept.epoch_losses.front(), 1.0);
  EXPECT_LT(kept.epoch_losses.back(), 0.05);
}

TEST(Trainer, TellsItsCallbacksOfStepsAndEpochs) {
  ToyRun toy({.training = {.epochs = 2}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  EXPECT_EQ(toy.trainer->total_steps(), 6);
  toy.run();
  EXPECT_THAT(kept.events, ElementsAre("start", "step 0", "step 1", "step 2", "epoch 1 at 3",
                                       "step 3", "step 4", "step 5", "epoch 2 at 6"));
  EXPECT_EQ(toy.trainer->state().step, 6);
  EXPECT_EQ(toy.trainer->state().position, (DataPosition{2, 0}));
  EXPECT_EQ(toy.optimizer->steps(), 6);
}

TEST(Trainer, TellsEachCallbackBeforeGoingOn) {
  ToyRun toy({.training = {.max_steps = 1}});
  Notes::Kept kept;  // of both
  toy.trainer->add(std::make_unique<Notes>(kept, [&](auto&) { kept.events.push_back("first"); }));
  toy.trainer->add(std::make_unique<Notes>(kept, [&](auto&) { kept.events.push_back("second"); }));
  toy.run();
  EXPECT_THAT(kept.events, ElementsAre("start", "start", "step 0", "first", "step 0", "second",
                                       "end at 1, 1 into epoch 1", "end at 1, 1 into epoch 1"));
}

TEST(Trainer, SaysHowFarIntoAnEpochMaxStepsEndTheRun) {
  ToyRun toy({.training = {.epochs = 3, .max_steps = 4}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  EXPECT_EQ(toy.trainer->total_steps(), 4);
  EXPECT_EQ(toy.run(), Outcome::kDone);
  EXPECT_THAT(kept.events, ElementsAre("start", "step 0", "step 1", "step 2", "epoch 1 at 3",
                                       "step 3", "end at 4, 1 into epoch 2"));
  EXPECT_EQ(toy.trainer->state().position, (DataPosition{1, 1}));
  EXPECT_EQ(toy.run(), Outcome::kDone) << "there is nothing left to do";
  EXPECT_EQ(toy.trainer->state().step, 4);
}

TEST(Trainer, DoesNotStopBeforeItsEpochsForALargerMaxSteps) {
  ToyRun toy({.training = {.epochs = 1, .max_steps = 100}});
  EXPECT_EQ(toy.trainer->total_steps(), 3);
  toy.run();
  EXPECT_EQ(toy.trainer->state().step, 3);
}

TEST(Trainer, StopsWhenItsMinutesAreOver) {
  ToyRun toy({.training = {.epochs = 1000, .max_minutes = 1e-12}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  EXPECT_EQ(toy.run(), Outcome::kDone);
  EXPECT_THAT(kept.events, ElementsAre("start", "step 0", "end at 1, 1 into epoch 1"));
}

// How fast steps are is chance, and so is how many there are.
TEST(Trainer, EndsItsScheduleWithItsMinutesAsARunOfSoManyStepsDoes) {
  for (const auto kind : {Schedule::Kind::kWsd, Schedule::Kind::kCosine}) {
    const Schedule schedule = {.kind = kind, .warmup_steps = 7, .decay_share = 0.4};
    ToyRun by_time(
        {.training = {.lr = 0.01, .schedule = schedule, .epochs = 0, .max_minutes = 0.01}});
    EXPECT_EQ(by_time.trainer->total_steps(), Trainer::kUnknown);
    EXPECT_TRUE(by_time.trainer->awaits_schedule());
    EXPECT_EQ(by_time.run(), Outcome::kDone);
    EXPECT_FALSE(by_time.trainer->awaits_schedule());
    const std::int64_t steps = by_time.trainer->total_steps();
    ToyRun by_steps({.training = {.lr = 0.01,
                                  .schedule = schedule,
                                  .epochs = 0,
                                  .max_steps = steps,
                                  .schedule_steps = 2}});
    if (by_time.trainer->state().step < steps) continue;  // the machine had other things to do
    by_steps.run();
    EXPECT_EQ(by_time.trainer->state().step, steps);
    EXPECT_TRUE(test::same_bits(by_time.parameters->values(), by_steps.parameters->values()));
  }
}

TEST(Trainer, GoesOnWithAScheduleThatHasBegunToFallAndNotWithAnother) {
  const auto total_of = [](std::int64_t step, std::int64_t span) {
    const Schedule schedule = {.kind = Schedule::Kind::kWsd, .decay_share = 0.5};
    TrainState state;
    state.step = step;
    state.position = {step / 3, step % 3};
    ToyRun toy(
        {.training = {.schedule = schedule, .epochs = 0, .max_minutes = 1, .schedule_steps = span}},
        {}, [&](ToyRun&) { return state; });
    EXPECT_EQ(toy.trainer->awaits_schedule(), toy.trainer->total_steps() == Trainer::kUnknown);
    return toy.trainer->total_steps();
  };
  EXPECT_EQ(total_of(6, 10), 10);
  EXPECT_EQ(total_of(5, 10), Trainer::kUnknown) << "its rate is still whole";
  EXPECT_EQ(total_of(10, 10), Trainer::kUnknown) << "it is over";
  EXPECT_EQ(total_of(6, 0), Trainer::kUnknown);
}

TEST(Trainer, EndsAnEpochWhereMaxStepsEndWithIt) {
  ToyRun toy({.training = {.epochs = 3, .max_steps = 3}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  EXPECT_EQ(toy.run(), Outcome::kDone);
  EXPECT_THAT(kept.events, ElementsAre("start", "step 0", "step 1", "step 2", "epoch 1 at 3"));
}

TEST(Trainer, HasAsManyStepsAsANumberHoldsForEpochsWithoutEnd) {
  const ToyRun toy({.training = {.epochs = std::numeric_limits<std::int64_t>::max()}});
  EXPECT_EQ(toy.trainer->total_steps(), std::numeric_limits<std::int64_t>::max());
}

TEST(Trainer, CountsEverySampleOfAnEpochOnce) {
  ToyRun toy({.training = {.epochs = 2}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  toy.run();
  // Batches of 4, 4 and 2: a mean of means would weigh the last one too much.
  for (std::size_t epoch = 0; epoch < 2; ++epoch) {
    const double* loss = &kept.losses[epoch * 3];
    EXPECT_NEAR(kept.epoch_losses[epoch], (4 * loss[0] + 4 * loss[1] + 2 * loss[2]) / 10, 1e-12);
  }
}

TEST(Trainer, ReportsTheLossBeforeTheUpdateAndUsesTheMeanOfTheBatch) {
  ToyRun toy({.training = {.lr = 0.5, .max_steps = 1}, .sgd = true});
  const std::int64_t first_batch[] = {0, 1, 2, 3};
  const Batch batch = toy.data.collate(first_batch);
  Tape tape;
  const LossTerm loss = toy.evaluate(batch).terms.front();
  tape.backward(loss.sum, 0.25);
  const std::vector<double> gradient = test::to_doubles(toy.parameters->gradients());
  std::vector<double> expected = test::to_doubles(toy.parameters->values());
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] -= 0.5 * gradient[i];

  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  toy.run();
  EXPECT_NEAR(kept.losses[0], loss.sum.item() / 4, 1e-15);
  EXPECT_TRUE(test::is_close(toy.parameters->values(), expected, 1e-14));
}

TEST(Trainer, StopsBetweenStepsWhenAskedTo) {
  ToyRun toy({.training = {.epochs = 2}});
  Notes::Kept kept;
  std::atomic<bool> stop = false;
  toy.trainer->add(std::make_unique<Notes>(kept, [&](auto& step) { stop = step.step == 1; }));
  EXPECT_EQ(toy.run(stop), Outcome::kInterrupted);
  EXPECT_THAT(kept.events, ElementsAre("start", "step 0", "step 1", "interrupt at 2"));
  EXPECT_EQ(toy.trainer->state().position, (DataPosition{0, 2}));
}

TEST(Trainer, AsksForCheckpointsWithinAnEpochAndNotTwiceAtItsEnd) {
  ToyRun toy({.training = {.epochs = 3, .max_steps = 8, .checkpoint_every = 2}});
  Notes::Kept kept;
  std::atomic<bool> stop = false;
  toy.trainer->add(std::make_unique<Notes>(kept, [&](auto& step) { stop = step.step == 7; }));
  EXPECT_EQ(toy.run(stop), Outcome::kDone);
  std::erase_if(kept.events, [](const std::string& event) { return event.starts_with("step"); });
  EXPECT_THAT(kept.events,
              ElementsAre("start", "checkpoint at 2", "epoch 1 at 3", "checkpoint at 4",
                          "epoch 2 at 6", "end at 8, 2 into epoch 3"));
}

TEST(Trainer, ShowsCallbacksAStateThatCountsTheStep) {
  struct Watch : Callback {
    void on_step(const Trainer& trainer, const StepInfo& step) override {
      EXPECT_EQ(trainer.state().step, step.step + 1);
      EXPECT_EQ(trainer.optimizer().steps(), trainer.state().step);
      EXPECT_EQ(trainer.state().position, trainer.loader().position());
      ++heard;
    }
    int heard = 0;
  };
  ToyRun toy({});
  auto watch = std::make_unique<Watch>();
  const Watch& seen = *watch;
  toy.trainer->add(std::move(watch));
  toy.run();
  EXPECT_EQ(seen.heard, 3);
}

TEST(Trainer, RefusesOptionsThatMakeNoSense) {
  const auto making = [](const Trainer::Options& options) {
    return error_of([&] { ToyRun({.training = options}); });
  };
  EXPECT_EQ(making({.checkpoint_every = -1}),
            "[train] checkpoint_every must be at least 0, not -1");
  EXPECT_EQ(making({.epochs = -1}), "[train] epochs must be at least 0, not -1");
  EXPECT_EQ(making({.max_steps = -3}), "[train] max_steps must be at least 0, not -3");
  EXPECT_EQ(making({.micro_batches = 0}), "[train] micro_batches must be at least 1, not 0");
  EXPECT_EQ(making({.lr = -0.5}), "[train] lr must be finite and at least 0, not -0.5");
  EXPECT_EQ(making({.max_minutes = -1}),
            "[train] max_minutes must be finite and at least 0, not -1");
  EXPECT_EQ(making({.max_minutes = test::kNaN}),
            "[train] max_minutes must be finite and at least 0, not nan");
  EXPECT_THAT(making({.clip_norm = test::kInf}),
              ::testing::StartsWith("[train] clip_norm must be 0, or finite and at least 2.2"));
}

TEST(Trainer, SaysWhichEpochIsTheLast) {
  struct Lasts : Callback {
    explicit Lasts(std::vector<bool>& all) : lasts(all) {}
    void on_epoch(const Trainer&, const EpochInfo& info) override { lasts.push_back(info.is_last); }
    void on_end_within_epoch(const Trainer& trainer, const EpochInfo& info) override {
      on_epoch(trainer, info);
    }
    std::vector<bool>& lasts;
  };
  for (const std::int64_t steps : {6, 7}) {
    std::vector<bool> lasts;
    ToyRun toy({.training = {.epochs = 9, .max_steps = steps}});
    toy.trainer->add(std::make_unique<Lasts>(lasts));
    toy.run();
    EXPECT_EQ(lasts, steps == 6 ? std::vector<bool>({false, true})
                                : std::vector<bool>({false, false, true}));
  }
}

TEST(Trainer, AskedToStopAtTheEndOfAnEpochEndsItFirst) {
  for (const bool at_the_very_end : {false, true}) {
    ToyRun toy({.training = {.epochs = at_the_very_end ? 1 : 2}});
    Notes::Kept kept;
    std::atomic<bool> stop = false;
    toy.trainer->add(std::make_unique<Notes>(kept, [&](auto& step) { stop = step.step == 2; }));
    EXPECT_EQ(toy.run(stop), at_the_very_end ? Outcome::kDone : Outcome::kInterrupted);
    EXPECT_THAT(kept.events, ElementsAre("start", "step 0", "step 1", "step 2", "epoch 1 at 3"));
  }
}

TEST(Trainer, PassesOnWhatACallbackThrows) {
  ToyRun toy({});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(
      kept, [](const StepInfo& step) { check(step.step < 1, "test", "enough"); }));
  EXPECT_EQ(error_of([&] { toy.run(); }), "[test] enough");
  EXPECT_THAT(kept.events, ElementsAre("start", "step 0", "step 1"));
}

TEST(Trainer, TakesMoreEpochsThanItsStepsCanBeCounted) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  ToyRun toy({.training = {.epochs = kMost, .max_steps = 2}});
  EXPECT_EQ(toy.trainer->total_steps(), 2);
  EXPECT_EQ(toy.run(), Outcome::kDone);
  EXPECT_EQ(ToyRun({.training = {.epochs = kMost}}).trainer->total_steps(), kMost);
}

TEST(Trainer, RefusesAnOptimizerAndAnAverageOfAnotherModel) {
  ToyRun toy({.ema = 0.5}), wider({.width = 9, .ema = 0.5});
  const auto make = [&](Optimizer& optimizer, WeightAverage* average) {
    const auto model = [](const Batch&, Pass&) { return ModelOutput{}; };
    Trainer(model, *toy.parameters, optimizer, *toy.loader, {.average = average});
  };
  EXPECT_THAT(error_of([&] { make(*wider.optimizer, nullptr); }),
              ::testing::StartsWith("[adam] was made for parameters float64 ("));
  EXPECT_THAT(error_of([&] { make(*toy.optimizer, wider.average.get()); }),
              ::testing::StartsWith("[ema] was made for parameters float64 ("));
}

TEST(Trainer, RefusesALoaderThatStandsElsewhere) {
  ToyRun toy({});
  toy.loader->next();
  const auto make = [&] {
    Trainer([](const Batch&, Pass&) { return ModelOutput{}; }, *toy.parameters, *toy.optimizer,
            *toy.loader, {});
  };
  EXPECT_EQ(error_of(make), "[train] the data loader stands elsewhere than the run");
}

}  // namespace
}  // namespace maskgrad
