// A run that was broken off and goes on is the unbroken run, bit for bit.
#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/checkpoint.hpp>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::Notes;
using test::same_bits;
using test::ScratchFolder;
using test::ToyOptions;
using test::ToyRun;

struct Case {
  const char* name;
  DType dtype;
  bool shuffle, sgd;
};

class Resume : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr std::int64_t kEpochs = 4, kSteps = 12;

  static ToyOptions options() {
    const Case& c = GetParam();
    return {.training = {.lr = 0.02, .epochs = kEpochs},
            .shuffle = c.shuffle,
            .dtype = c.dtype,
            .sgd = c.sgd};
  }

  // Logs and checkpoints in `folder`; stops after `until` steps.
  static void train(const fs::path& folder, ToyRun& toy, Notes::Kept& kept,
                    std::int64_t until = kSteps) {
    toy.trainer->add(std::make_unique<StepLog>(folder / "steps.csv"));
    toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
    toy.trainer->add(std::make_unique<Notes>(kept));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder));
    test::stop_after(toy, until);
  }

  static ToyRun from_checkpoint(const fs::path& folder) {
    return test::from_checkpoint(options(), folder);
  }
};

TEST_P(Resume, GivesTheLossesOfTheUnbrokenRunFromEveryStep) {
  const ScratchFolder unbroken_folder;
  ToyRun unbroken(options());
  Notes::Kept expected;
  train(unbroken_folder.path(), unbroken, expected);
  for (std::int64_t broken_at = 1; broken_at < kSteps; ++broken_at) {
    const ScratchFolder folder;
    Notes::Kept kept;
    {
      ToyRun first(options());
      train(folder.path(), first, kept, broken_at);
    }
    ASSERT_EQ(static_cast<std::int64_t>(kept.losses.size()), broken_at);
    ToyRun second = from_checkpoint(folder.path());
    train(folder.path(), second, kept);
    EXPECT_EQ(kept.losses, expected.losses) << broken_at;
    EXPECT_EQ(kept.epoch_losses, expected.epoch_losses) << broken_at;
    EXPECT_TRUE(same_bits(second.parameters->values(), unbroken.parameters->values()));
    EXPECT_EQ(read_file(folder / "steps.csv"), read_file(unbroken_folder / "steps.csv"));
  }
}

TEST_P(Resume, GoesOnFromAnOlderCheckpointOverItsOwnLogs) {
  const ScratchFolder folder;
  Notes::Kept expected, again;
  {
    ToyRun toy(options());
    train(folder.path(), toy, expected);
  }
  const std::string steps = read_file(folder / "steps.csv");
  const std::vector<EpochRow> epochs = read_epochs(folder / "epochs.csv");
  // Killed after a checkpoint, a run has logged steps and epochs that it will do again.
  fs::remove(folder / "step_000000000012.safetensors");
  fs::remove(folder / "step_000000000009.safetensors");
  ToyRun toy = from_checkpoint(folder.path());
  train(folder.path(), toy, again);
  EXPECT_EQ(again.losses.size(), 6U);
  EXPECT_EQ(read_file(folder / "steps.csv"), steps);
  const std::vector<EpochRow> rows = read_epochs(folder / "epochs.csv");
  ASSERT_EQ(rows.size(), epochs.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(EpochRow(rows[i].begin(), rows[i].end() - 1),
              EpochRow(epochs[i].begin(), epochs[i].end() - 1));
  }
}

TEST_P(Resume, AddsUpAnEpochThatAStepLimitCutShort) {
  Notes::Kept expected, kept;
  const ScratchFolder unbroken_folder, folder;
  ToyRun unbroken(options());
  train(unbroken_folder.path(), unbroken, expected);
  {
    ToyOptions limited = options();
    limited.training.max_steps = 4;
    ToyRun first(limited);
    train(folder.path(), first, kept);
  }
  EXPECT_EQ(kept.epoch_losses.size(), 1U);
  EXPECT_EQ(read_epochs(folder / "epochs.csv").size(), 1U) << "a part of an epoch is no row";
  ToyRun second = from_checkpoint(folder.path());
  train(folder.path(), second, kept);
  EXPECT_EQ(kept.losses, expected.losses);
  EXPECT_EQ(kept.epoch_losses, expected.epoch_losses);
  EXPECT_EQ(read_epochs(folder / "epochs.csv").size(), 4U);
}

// A process that dies leaves what it logged since; the checkpoint is from within an epoch.
TEST_P(Resume, GoesOnFromACheckpointWithinAnEpochByteForByte) {
  const auto run = [](const fs::path& folder, ToyRun& toy, std::int64_t dies_after) {
    toy.trainer->add(std::make_unique<StepLog>(folder / "steps.csv"));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder));
    Notes::Kept ignored;
    toy.trainer->add(std::make_unique<Notes>(
        ignored, [&](auto& step) { check(step.step + 1 < dies_after, "test", "dies"); }));
    toy.run();
  };
  ToyOptions checkpointed = options();
  checkpointed.training.checkpoint_every = 2;
  const ScratchFolder unbroken_folder;
  ToyRun unbroken(checkpointed);
  run(unbroken_folder.path(), unbroken, kSteps + 1);
  for (const std::int64_t dies_after : {3, 5, 6, 9, 11}) {
    const ScratchFolder folder;
    {
      ToyRun first(checkpointed);
      EXPECT_THROW(run(folder.path(), first, dies_after), Error);
    }
    ToyRun second = from_checkpoint(folder.path());
    const std::int64_t step = second.trainer->state().step;
    EXPECT_TRUE(step % 2 == 0 || step % 3 == 0) << step;
    EXPECT_GE(step + 2, dies_after - 1);
    run(folder.path(), second, kSteps + 1);
    EXPECT_EQ(read_file(folder / "steps.csv"), read_file(unbroken_folder / "steps.csv"));
    const char* const last = "step_000000000012.safetensors";
    EXPECT_TRUE(read_file(folder / last) == read_file(unbroken_folder / last)) << dies_after;
  }
}

INSTANTIATE_TEST_SUITE_P(, Resume,
                         ::testing::Values(Case{"AdamInFileOrder", DType::kFloat64, false, false},
                                           Case{"AdamShuffled", DType::kFloat32, true, false},
                                           Case{"SgdShuffled", DType::kFloat64, true, true}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace maskgrad
