// A run on a device replays its steps, waits for nothing, and hears of each step late; all the same
// it does what it does on the CPU.
#include <chrono>
#include <thread>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "cuda/device_steps.hpp"
#include "cuda/late_run.hpp"

namespace maskgrad {
namespace {

using Options = test::LateOptions;
using test::Heard;
using test::kCuda;
using test::kStepsOfEpoch;
using test::LateRun;
using test::Network;
using ::testing::Each;
using ::testing::ElementsAreArray;
using ::testing::Gt;

std::vector<Options> all_options() {
  std::vector<Options> all(4);
  all[1].training.clip_norm = 0.3;
  all[2].dtype = DType::kFloat64;
  all[3].sgd = true;
  all[3].training.clip_norm = 0.05;
  all[3].training.schedule.kind = Schedule::Kind::kCosine;
  return all;
}

class LateTraining : public test::DeviceSteps {};

TEST_F(LateTraining, HasTheNumbersOfTheCpuInEveryOrderOfThreads) {
  for (const Options& options : all_options()) {
    LateRun wanted({}, options);
    wanted();
    EXPECT_EQ(wanted.error, "no error");
    EXPECT_LT(wanted.heard->numbers.end()[-4], wanted.heard->numbers.front());
    test::in_each_order([&] {
      LateRun got(kCuda, options);
      expect_same(got(), wanted);
    });
  }
}

TEST_F(LateTraining, ReplaysItsStepsAndWaitsForNothing) {
  constexpr std::int64_t kWarm = 8;
  for (const Options& options : all_options()) {
    LateRun run(kCuda, options);
    DeviceCounts before, after;
    std::uint64_t waits = 0;
    run.heard->at_step = [&](auto&, const StepInfo& step) {
      if (step.step == kWarm) before = device_counts();
      if (step.step == kWarm) waits = Traffic::so_far().syncs;
      after = device_counts();
    };
    run();
    EXPECT_EQ(run.error, "no error");
    EXPECT_EQ(Traffic::so_far().syncs, waits);
    if (!test::reuses_memory()) continue;
    // The steps given after the one behind kWarm was.
    EXPECT_EQ(after.replayed - before.replayed, 3 * kStepsOfEpoch - kWarm - 2);
    EXPECT_EQ(after.recorded, before.recorded);
    EXPECT_EQ(after.broken + after.eager, before.broken + before.eager);
    EXPECT_EQ(after.allocations, before.allocations);
  }
}

TEST_F(LateTraining, DoesInPiecesWhatItDoesAsAGraph) {
  for (Options options : all_options()) {
    LateRun graph(kCuda, options);
    graph();
    options.training.transforms.push_back([](GradientStep& step) {  // the host looks at something
      static_cast<void>(step.parameters.gradients().to(Device{}));
    });
    const std::uint64_t replayed = device_counts().replayed;
    LateRun pieces(kCuda, options);
    pieces();
    EXPECT_EQ(device_counts().replayed, replayed);
    expect_same(pieces, graph);
  }
}

// Where the next step is given before anybody has heard of one.
TEST_F(LateTraining, IsAheadWhereNoCallbackNeedsAStep) {
  LateRun run(kCuda, {.training = {.lr = 0.05, .checkpoint_every = 5}});
  std::vector<std::int64_t> behind;
  Tensor last;
  run.heard->needs = [](std::int64_t steps) { return steps == 7; };
  run.heard->at_step = [&](const Trainer& trainer, const StepInfo& step) {
    if (trainer.optimizer().steps() == step.step + 1) behind.push_back(step.step + 1);
  };
  run();
  // At the first, it is not known yet what the run will report.
  EXPECT_THAT(behind, ::testing::ElementsAre(1, 5, 7, 10, 15, kStepsOfEpoch));
}

TEST_F(LateTraining, TellsCallbacksWhatTheCpuTells) {
  std::vector<Options> all(4);
  all[0].training.checkpoint_every = 5;
  all[1].training.max_steps = 13;
  all[2].training.max_steps = kStepsOfEpoch + 1;
  all[3].training.max_steps = 1;
  for (const Options& options : all) {
    LateRun wanted({}, options), got(kCuda, options);
    wanted();
    expect_same(got(), wanted);
  }
}

TEST_F(LateTraining, StopsWhereItIsAskedTo) {
  for (const bool from_outside : {true, false}) {
    std::vector<std::unique_ptr<LateRun>> runs;
    for (const Device device : {Device{}, kCuda}) {
      runs.push_back(std::make_unique<LateRun>(device, Options{}));
      Heard& heard = *runs.back()->heard;
      heard.needs = [](std::int64_t steps) { return steps == 11; };
      heard.at_step = [&](auto&, const StepInfo& step) {
        heard.stop = from_outside && step.step >= 10;
        heard.ends = !from_outside && step.step >= 10;
      };
      (*runs.back())();
    }
    EXPECT_EQ(runs[0]->trainer->state().step, 11);
    expect_same(*runs[1], *runs[0]);
  }
}

// Whatever stands before a clipping that is left to the device, or behind one that is not.
TEST_F(LateTraining, ScalesGradientsByAllTransforms) {
  const auto half = [](GradientStep& step) { step.scale *= 0.5; };
  const std::vector<GradientTransform> orders[] = {{half, clip_norm(0.08)},
                                                   {half, clip_norm(0.08), half}};
  for (const DType dtype : test::kFloatingDTypes) {
    for (const auto& transforms : orders) {
      Options options{.dtype = dtype};
      options.training.transforms = transforms;
      LateRun wanted({}, options), got(kCuda, options);
      EXPECT_EQ(wanted().error, "no error");
      expect_same(got(), wanted);
    }
  }
}

// Time ends the schedule when the next step was given already, at the rate of before.
TEST_F(LateTraining, TellsTheRateOfTheUpdate) {
  Options options;
  options.training = {.lr = 0.05, .epochs = 0, .max_steps = 40, .max_minutes = 1e-4};
  options.training.schedule.kind = Schedule::Kind::kCosine;
  std::vector<double> rates;
  options.training.transforms = {[&](GradientStep& step) { rates.push_back(step.lr); }};
  LateRun run(kCuda, options);
  run();
  EXPECT_THAT(run.heard->rates, ElementsAreArray(rates));
}

// A tail of one step is known when that step was given already.
TEST_F(LateTraining, MakesNoStepBehindTheEndOfTheSchedule) {
  Options options;
  options.training = {.lr = 0.05, .epochs = 0, .max_minutes = 0.01};
  options.training.schedule = {.kind = Schedule::Kind::kWsd, .decay_share = 0.05};
  LateRun run(kCuda, options);
  run.heard->at_step = [](auto&, const StepInfo& step) {
    if (step.step == 3) std::this_thread::sleep_for(std::chrono::milliseconds(540));
  };
  EXPECT_EQ(run().error, "no error");
  EXPECT_LE(run.trainer->state().step, run.trainer->total_steps());
  EXPECT_THAT(run.heard->rates, Each(Gt(0)));
}

// A batch without a target changes nothing, though a step behind it was given.
TEST_F(LateTraining, SkipsBatchesThatCountNothing) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    if (pass.step() % 3 == 1) {
      made.terms[0].sum = ops::scale(made.terms[0].sum, 0);
      made.terms[0].count = 0;
    }
    return made;
  };
  Options options;
  options.training.clip_norm = 0.1;
  LateRun wanted({}, options, output), got(kCuda, options, output);
  wanted();
  EXPECT_EQ(wanted.trainer->state().skipped, kStepsOfEpoch);
  expect_same(got(), wanted);
  EXPECT_EQ(got.trainer->state().skipped, kStepsOfEpoch);
}

TEST_F(LateTraining, AStepByItselfIsHeardOfAtOnce) {
  LateRun wanted({}, {}), got(kCuda, {});
  for (int i = 0; i < 5; ++i) {
    const auto here = wanted.trainer->step(wanted.loader.next()),
               there = got.trainer->step(got.loader.next());
    ASSERT_EQ(there.size(), here.size());
    for (std::size_t k = 0; k < here.size(); ++k) {
      EXPECT_EQ(there[k].name, here[k].name);
      EXPECT_EQ(there[k].sum, here[k].sum);
      EXPECT_EQ(there[k].count, here[k].count);
    }
  }
}

}  // namespace
}  // namespace maskgrad
