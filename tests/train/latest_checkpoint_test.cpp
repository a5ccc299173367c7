// Which checkpoints of a run are kept, and which one it goes on from.
#include <filesystem>

#include <gmock/gmock.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::ScratchFolder;
using test::ToyRun;

TEST(CheckpointCallback, KeepsTheNewestThree) {
  const ScratchFolder folder;
  write_file(folder / "notes.txt", "stays");
  EXPECT_EQ(latest_checkpoint(folder.path()), std::nullopt);
  EXPECT_EQ(latest_checkpoint(folder / "none"), std::nullopt);
  ToyRun toy({.training = {.epochs = 5}});
  toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
  toy.run();
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("step_000000000009.safetensors",
                                                     "step_000000000012.safetensors",
                                                     "step_000000000015.safetensors", "notes.txt"));
  EXPECT_EQ(latest_checkpoint(folder.path()), folder / "step_000000000015.safetensors");
}

TEST(CheckpointCallback, SavesTheNotesOfItsOwnerAndOfTheOtherCallbacks) {
  class Noting : public Callback {
    void add_notes(Notes& notes) const override { notes["callback"] = "said"; }
  };
  const ScratchFolder folder;
  ToyRun toy({});
  toy.trainer->add(std::make_unique<Noting>());
  toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path(), [] {
    return Notes{{"settings", "lr = 1"}};
  }));
  toy.run();
  EXPECT_EQ(read_notes(folder / "step_000000000003.safetensors"),
            (Notes{{"callback", "said"}, {"settings", "lr = 1"}}));
}

TEST(CheckpointCallback, DoesNotBeginARunAmongTheCheckpointsOfAnother) {
  const ScratchFolder folder;
  for (const bool is_first : {true, false}) {
    ToyRun toy({});
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
    EXPECT_THAT(
        error_of([&] { toy.run(); }),
        ::testing::HasSubstr(is_first ? "no error" : "holds the checkpoints of another run"));
  }
}

// Three checkpoints of a run, at 3, 6 and 9 steps.
class LatestCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override { train({}, 3); }

  void train(const ToyRun::Prepare& prepare, std::int64_t epochs) {
    ToyRun toy({.training = {.epochs = epochs}}, {}, prepare);
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder_.path()));
    toy.run();
  }
  fs::path path(int step) const {
    return folder_.path() / fmt::format("step_{:012}.safetensors", step);
  }
  void flip_a_bit(int step) const {
    std::string bytes = read_file(path(step));
    bytes[bytes.size() - 5] ^= 1;
    write_file(path(step), bytes);
  }
  std::optional<Checkpoint> load(ParameterBuffer& parameters, Optimizer& optimizer) {
    return load_latest_checkpoint(folder_.path(), parameters, optimizer,
                                  [&](const std::string& text) { warnings_.push_back(text); });
  }

  ScratchFolder folder_;
  std::vector<std::string> warnings_;
};

TEST_F(LatestCheckpoint, IsTheNewestThatIsSoundWithAWordForEachThatIsNot) {
  ToyRun toy({});
  EXPECT_EQ(load(*toy.parameters, *toy.optimizer)->state.step, 9);
  EXPECT_THAT(warnings_, ::testing::IsEmpty());
  flip_a_bit(9);
  write_file(path(6), "");
  EXPECT_EQ(load(*toy.parameters, *toy.optimizer)->state.step, 3);
  ASSERT_EQ(warnings_.size(), 2U);
  EXPECT_EQ(warnings_[0], "'" + path(9).string() +
                              "': its bytes do not match its digest: the file is damaged; taking "
                              "the checkpoint before it");
  EXPECT_THAT(warnings_[1], ::testing::HasSubstr(path(6).string()));
  flip_a_bit(3);
  EXPECT_EQ(error_of([&] { load(*toy.parameters, *toy.optimizer); }),
            "[checkpoint] '" + path(3).string() +
                "': its bytes do not match its digest: the file is damaged; there is no sound "
                "checkpoint before it: begin the run anew");
}

TEST_F(LatestCheckpoint, IsNotPassedOverForBeingOfAnotherVersionOrModel) {
  ToyRun other({.width = 6});
  EXPECT_THAT(error_of([&] { load(*other.parameters, *other.optimizer); }),
              ::testing::HasSubstr("the run's is float64 (12, 6)"));
  save_tensors(path(12), {}, {{"format", "maskgrad checkpoint 3"}});
  EXPECT_THAT(error_of([&] { load(*other.parameters, *other.optimizer); }),
              ::testing::HasSubstr("take a newer one"));
  EXPECT_THAT(warnings_, ::testing::IsEmpty());
}

TEST_F(LatestCheckpoint, MakesWayForTheSoundOnesThatTakeThePlaceOfDamagedOnes) {
  flip_a_bit(9);
  flip_a_bit(6);
  std::atomic<bool> stop = true;
  ToyRun toy({.training = {.epochs = 3}}, {},
             [&](ToyRun& run) { return load(*run.parameters, *run.optimizer)->state; });
  toy.trainer->add(std::make_unique<CheckpointCallback>(folder_.path()));
  toy.run(stop);  // stops after one step
  EXPECT_TRUE(fs::exists(path(3)));
  EXPECT_EQ(latest_checkpoint(folder_.path()), path(4));
}

TEST_F(LatestCheckpoint, GoesByTheStepNotByTheSpelling) {
  fs::rename(path(9), folder_ / "step_9.safetensors");
  EXPECT_EQ(latest_checkpoint(folder_.path()), folder_ / "step_9.safetensors");
  for (const char* name : {"step_.safetensors", "step_x.safetensors", "step_-99.safetensors",
                           "step_99.safetensors.tmp.1", "step_+99.safetensors"}) {
    write_file(folder_ / name, "");
  }
  EXPECT_EQ(latest_checkpoint(folder_.path()), folder_ / "step_9.safetensors");
}

TEST_F(LatestCheckpoint, IsNoneInAnEmptyFolderAndAnErrorInOneThatCannotBeRead) {
  const ScratchFolder empty;
  ToyRun toy({});
  EXPECT_FALSE(
      load_latest_checkpoint(empty.path(), *toy.parameters, *toy.optimizer, {}).has_value());
  EXPECT_FALSE(
      load_latest_checkpoint(empty / "none", *toy.parameters, *toy.optimizer, {}).has_value());
  EXPECT_THAT(error_of([&] { latest_checkpoint(path(3)); }),
              ::testing::StartsWith("[file] cannot read folder '"));
}

}  // namespace
}  // namespace maskgrad
