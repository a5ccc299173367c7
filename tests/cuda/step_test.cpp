// Steps that are replayed do what they do piece by piece, bit for bit, whatever comes between.
#include <cmath>
#include <utility>

#include <maskgrad/tensor/cpu/traffic.hpp>

#include "cuda/device_steps.hpp"
#include "cuda/step_model.hpp"
#include "cuda/training.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::DeviceSteps;
using test::kCuda;
using test::Since;
using test::StepModel;
using test::to_doubles;

// Every sixth step has fewer rows, as the last batch of an epoch may.
StepModel::Step of_number(std::int64_t number) {
  return {.rows = number % 6 == 5 ? 3 : 5,
          .first = 1 + 0.25 * static_cast<double>(number % 4),
          .number = number};
}

void take_steps(StepModel& model, std::int64_t first, std::int64_t end) {
  for (std::int64_t i = first; i < end; ++i) model.step(of_number(i));
}

void expect_same(const StepModel& got, const StepModel& wanted) {
  EXPECT_TRUE(test::same_bits(got.weights(), wanted.weights()));
  EXPECT_TRUE(test::same_bits(got.history(), wanted.history()));
}

TEST_F(DeviceSteps, HaveTheSameBitsEagerRecordedAndReplayed) {
  StepModel model, wanted;
  for (std::int64_t i = 0; i < 24; ++i) wanted.step_without_scope(of_number(i));
  Since since;
  take_steps(model, 0, 24);
  const DeviceCounts counts = since();
  expect_same(model, wanted);
  EXPECT_EQ(counts.eager + counts.recorded + counts.replayed, 24U);
  if (test::reuses_memory()) {
    EXPECT_GE(counts.replayed, 18U);
  }
}

TEST_F(DeviceSteps, HaveTheSameBitsInEveryOrderOfThreads) {
  StepModel wanted;
  for (std::int64_t i = 0; i < 12; ++i) wanted.step_without_scope(of_number(i));
  test::in_each_order([&] {
    StepModel model;
    take_steps(model, 0, 12);
    expect_same(model, wanted);
  });
}

TEST_F(DeviceSteps, RecordAllocateAndWaitForNothingInASteadyRun) {
  if (!test::reuses_memory()) GTEST_SKIP() << "each step has memory of its own";
  StepModel model;
  take_steps(model, 0, 12);
  Since since;
  const std::uint64_t waits = Traffic::so_far().syncs;
  take_steps(model, 12, 36);
  const DeviceCounts counts = since();
  EXPECT_EQ(counts.replayed, 24U);
  EXPECT_EQ(counts.recorded, 0U);
  EXPECT_EQ(counts.allocations, 0U);
  EXPECT_EQ(Traffic::so_far().syncs, waits);
}

// Forward, backward and updates, which give the parameters new places by turns. Each batch has a
// mask of its own. Returns losses and parameters, and how many of the last ten steps were replayed.
std::pair<std::vector<Tensor>, std::uint64_t> train(bool has_mask, Device in_steps_of) {
  constexpr int kSteps = 24;
  test::ElementwiseModel model(kCuda, DType::kFloat32, has_mask);
  std::vector<Tensor> all;
  Since since;
  for (int i = 0; i < kSteps; ++i) {
    if (i == kSteps - 10) since();
    if (has_mask) model.mask = SequenceMask(test::bits({1, 1, 0, 1.0 * (i % 2), 0, 0}, {2, 3}));
    DeviceStep step(in_steps_of);
    const Tensor loss = model.step();
    step.end();
    all.push_back(loss.to(Device{}));
  }
  for (const Variable* p : {&model.a, &model.b, &model.w}) all.push_back(p->value().to(Device{}));
  return {all, since().replayed};
}

TEST_F(DeviceSteps, OfATapeHaveTheSameBitsToo) {
  for (const bool has_mask : {false, true}) {
    const auto [wanted, replayed_of_none] = train(has_mask, Device{});
    const auto [got, replayed] = train(has_mask, kCuda);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_TRUE(test::same_bits(got[i], wanted[i])) << i;
    }
    EXPECT_EQ(replayed_of_none, 0U);
    if (test::reuses_memory()) {
      EXPECT_EQ(replayed, 10U);
    }
  }
}

TEST_F(DeviceSteps, ChangeNothingOnceALossIsNotFinite) {
  StepModel model, wanted;
  const auto both = [&](const StepModel::Step& step) {
    model.step(step);
    wanted.step_without_scope(step);
  };
  for (std::int64_t i = 0; i < 12; ++i) both(of_number(i));
  Since since;
  model.step({.rows = 5, .first = test::kNaN, .number = 12});
  for (std::int64_t i = 13; i < 16; ++i) model.step(of_number(i));
  if (test::reuses_memory()) {
    EXPECT_EQ(since().replayed, 4U);
  }
  EXPECT_TRUE(test::same_bits(model.weights(), wanted.weights()));
  const std::vector<double> history = to_doubles(model.history());
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(std::isnan(history[2 * i]), i == 12) << i;
    EXPECT_EQ(history[2 * i + 1], i >= 12) << i;
  }
  model.forget_what_was_not_finite();
  for (std::int64_t i = 12; i < 24; ++i) both(of_number(i));
  expect_same(model, wanted);
}

// Reads the loss within step `number` of ten.
void expect_same_with_a_read_in(std::int64_t number, const StepModel::Step& instead) {
  StepModel model, wanted;
  for (std::int64_t i = 0; i < 10; ++i) {
    const StepModel::Step step = i == number ? instead : of_number(i);
    const auto loss = wanted.step_without_scope(step);
    Since since;
    EXPECT_EQ(model.step(step), loss);
    EXPECT_EQ(since().broken, i == number ? 1U : 0U);
  }
  expect_same(model, wanted);
}

TEST_F(DeviceSteps, MayBeReadWithinWhileTheyAreCompared) {
  StepModel::Step step = of_number(8);
  step.reads_loss = true;
  expect_same_with_a_read_in(8, step);
}

// Eleven rows are new: the first launch that tells the number of rows is.
TEST_F(DeviceSteps, MayBeReadWithinWhileTheyAreRecorded) {
  expect_same_with_a_read_in(8, {.rows = 11, .number = 8, .reads_loss = true});
}

TEST_F(DeviceSteps, RecordAgainWhatWasBrokenAtFirst) {
  if (!test::reuses_memory()) GTEST_SKIP() << "each step has memory of its own";
  StepModel model;
  take_steps(model, 0, 3);
  const auto counts_of = [&](bool reads) {
    Since since;
    model.step({.rows = 13, .number = 1, .reads_loss = reads});
    return since();
  };
  EXPECT_EQ(counts_of(true).broken, 1U);
  EXPECT_EQ(counts_of(false).recorded, 1U);
  EXPECT_EQ(counts_of(false).replayed, 1U);
}

TEST_F(DeviceSteps, AreEagerForAWhileWhereEachOneIsReadWithin) {
  StepModel model, wanted;
  take_steps(model, 0, 3);
  for (std::int64_t i = 0; i < 3; ++i) wanted.step_without_scope(of_number(i));
  Since since;
  for (std::int64_t i = 3; i < 40; ++i) {
    StepModel::Step step = of_number(i);
    step.reads_loss = true;
    EXPECT_EQ(model.step(step), wanted.step_without_scope(step));
  }
  const DeviceCounts counts = since();
  EXPECT_LT(counts.broken, 8U);
  EXPECT_EQ(counts.broken + counts.eager, 37U);
  // Steps that nobody reads are replayed again before long.
  take_steps(model, 40, 140);
  if (test::reuses_memory()) {
    EXPECT_GT(since().replayed, 20U);
  }
  for (std::int64_t i = 40; i < 140; ++i) wanted.step_without_scope(of_number(i));
  expect_same(model, wanted);
}

TEST_F(DeviceSteps, RecordANumberThatIsAnArgumentEachTime) {
  StepModel model;
  take_steps(model, 0, 3);
  Since since;
  for (std::int64_t i = 3; i < 8; ++i) {
    StepModel::Step step = {.rows = 5, .number = i};
    step.rate_as_argument = 1.0f / static_cast<float>(100 + i);
    model.step(step);
  }
  EXPECT_EQ(since().recorded, 5U);
}

// A recording more than are kept, by turns: the one that is needed next has always gone.
TEST_F(DeviceSteps, KeepTheEightRecordingsThatWereUsedLast) {
  if (!test::reuses_memory()) GTEST_SKIP() << "each step has memory of its own";
  StepModel model;
  const auto recorded = [&](std::int64_t shapes) {
    Since since;
    for (std::int64_t i = 0; i < shapes; ++i) model.step({.rows = 20 + i, .number = i});
    return since().recorded;
  };
  for (int i = 0; i < 3; ++i) recorded(8);
  EXPECT_EQ(recorded(8), 0U);
  recorded(9);
  EXPECT_EQ(recorded(9), 9U);
  EXPECT_EQ(recorded(9), 9U);
}

}  // namespace
}  // namespace maskgrad
