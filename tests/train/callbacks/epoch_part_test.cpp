// What is told of an epoch that is not whole.
#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/run_logs.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Notes;
using test::ScratchFolder;
using test::ToyRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(EpochLog, NotesThePartOfAnEpochWithItsOwnMeans) {
  const ScratchFolder folder;
  ToyRun toy({.training = {.epochs = 3, .max_steps = 5}});
  toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<Notes>(kept));
  toy.run();
  const maskgrad::Notes notes = toy.trainer->notes();
  std::vector<EpochRow> rows = read_epochs(folder / "epochs.csv", notes);
  ASSERT_EQ(rows.size(), 1U);
  add_epoch_part(rows, notes, "c");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_DOUBLE_EQ(*find_value(rows[1], "epoch"), 1 + 2.0 / 3);
  EXPECT_EQ(find_value(rows[1], "steps"), 5);
  // Both batches of it have four samples.
  EXPECT_DOUBLE_EQ(*find_value(rows[1], "loss"), (kept.losses[3] + kept.losses[4]) / 2);
  EXPECT_TRUE(find_value(rows[1], "seconds").has_value());
}

TEST(EpochLog, ForgetsThePartOnceItsEpochIsWhole) {
  const ScratchFolder folder;
  ToyRun toy({.training = {.epochs = 2, .checkpoint_every = 2}});
  toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
  toy.run();
  EXPECT_FALSE(toy.trainer->notes().contains(kEpochPartNote));
}

TEST(EpochPart, CountsWhereItReachesFurtherThanTheRows) {
  const auto steps_with = [](std::vector<std::pair<double, double>> table, const char* part) {
    std::vector<EpochRow> rows;
    for (const auto& [epoch, steps] : table) rows.push_back({{"epoch", epoch}, {"steps", steps}});
    add_epoch_part(rows, {{kEpochPartNote, part}}, "c");
    std::vector<double> result;
    for (const EpochRow& row : rows) result.push_back(find_value(row, "steps").value_or(-1));
    return result;
  };
  EXPECT_THAT(steps_with({}, "epoch,steps\n0.5,5\n"), ElementsAre(5));
  EXPECT_THAT(steps_with({{1, 10}}, "epoch,steps\n1.5,15\n"), ElementsAre(10, 15));
  EXPECT_THAT(steps_with({{1, 10}, {2, 20}}, "epoch,steps\n1.5,15\n"), ElementsAre(10, 20))
      << "a run went on from there";
  EXPECT_THAT(steps_with({{1, 10}, {1.2, 12}}, "epoch,steps\n1.5,15\n"), ElementsAre(10, 15));
  for (const char* damaged : {"", "epoch,steps\n", "epoch,steps\n1,x\n", "epoch\n1.5\n"}) {
    EXPECT_THAT(error_of([&] { steps_with({}, damaged); }), HasSubstr("[epochs] 'c")) << damaged;
  }
}

TEST(EpochLog, TellsTheTimeOfAPartThatItSawFromItsBeginning) {
  const auto part_of = [](const TrainState& from, std::int64_t steps) {
    const ScratchFolder folder;
    ToyRun toy({.training = {.epochs = 3, .max_steps = steps}}, {}, [&](ToyRun&) { return from; });
    toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
    toy.run();
    std::vector<EpochRow> rows;
    add_epoch_part(rows, toy.trainer->notes(), "c");
    return rows.at(0);
  };
  const TrainState within = {1, {0, 1}, {}}, between = {3, {1, 0}, {}};
  EXPECT_TRUE(find_value(part_of({}, 2), "seconds").has_value());
  EXPECT_TRUE(find_value(part_of(between, 5), "seconds").has_value());
  EXPECT_TRUE(find_value(part_of(within, 5), "seconds").has_value()) << "of an epoch behind";
  const EpochRow resumed = part_of(within, 2);
  EXPECT_EQ(find_value(resumed, "steps"), 2);
  EXPECT_FALSE(find_value(resumed, "seconds").has_value()) << "the first step took time, too";
}

}  // namespace
}  // namespace maskgrad
