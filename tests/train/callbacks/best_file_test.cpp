// The file of the best weights follows the checkpoints of its run.
#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/best_file.hpp>
#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/model_file.hpp>

#include "support/files.hpp"
#include "train/callbacks/scripted.hpp"

namespace maskgrad {
namespace {

using test::ScratchFolder;
using test::scripted;
using test::ToyModel;
using test::ToyRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Runs that evaluate after each step, save at the ends of epochs of three steps, and die where the
// test says.
class BestFileOf : public ::testing::Test {
 protected:
  static constexpr const char* kFile = "best.safetensors";

  void train(ToyRun& toy, std::int64_t until, const Dataset& of) {
    toy.trainer->add(std::make_unique<Validation>(
        of, Validation::Options{.every_steps = 1, .warn = [&](const std::string& text) {
                                  warnings.push_back(text);
                                }}));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
    toy.trainer->add(std::make_unique<BestFile>(folder / kFile));
    toy.trainer->add(std::make_unique<test::Notes>(
        ignored, [&](auto& step) { check(step.step + 1 != until, "test", "dies"); }));
    try {
      toy.run();
    } catch (const Error&) {
    }
  }
  ToyRun go_on(ToyModel model) const {
    return test::from_checkpoint(options, folder.path(), std::move(model));
  }
  std::string note() const { return load_model(folder / kFile).notes.at(kValidationNote); }

  const test::ToyOptions options = {.training = {.lr = 0.05, .epochs = 3}};
  const SequenceDataset data = test::toy_data();
  const std::string print = " " + data.fingerprint();
  const ScratchFolder folder;
  std::vector<std::string> warnings;
  test::Notes::Kept ignored;
  std::size_t next = 0;
};

TEST_F(BestFileOf, ARunThatDiesHoldsNothingThatItsCheckpointDoesNotKnow) {
  ToyRun toy(options, scripted({5, 4, 6, 1, 2}, next));
  train(toy, 5, data);
  EXPECT_EQ(toy.best.step, 4);
  EXPECT_EQ(note(), "2 4 0" + print);
  const std::string bytes = read_file(folder / kFile);
  next = 0;
  ToyRun second = go_on(scripted({9}, next));
  EXPECT_EQ(second.best.note(), "2 4 1" + print);
  train(second, 4, data);
  EXPECT_EQ(read_file(folder / kFile), bytes);
}

TEST_F(BestFileOf, IsWhatTheCheckpointSaysOnceTheRunGoesOn) {
  ToyRun toy(options, scripted({5, 4, 6}, next));
  train(toy, 3, data);
  EXPECT_FALSE(std::filesystem::exists(folder / kFile)) << "it died before it saved";
  next = 0;
  ToyRun saved(options, scripted({5, 4, 6, 7}, next));
  train(saved, 4, data);
  const std::string bytes = read_file(folder / kFile);
  const auto go_on_with = [&](const std::string* file) {
    if (file == nullptr)
      std::filesystem::remove(folder / kFile);
    else
      write_file(folder / kFile, *file);
    next = 0;
    ToyRun second = go_on(scripted({9}, next));
    train(second, 4, data);
    return read_file(folder / kFile);
  };
  EXPECT_TRUE(go_on_with(nullptr) == bytes) << "where it is missing";
  const std::string damaged = bytes.substr(0, 99);
  EXPECT_TRUE(go_on_with(&damaged) == bytes);
  save_model(folder / "other", *saved.parameters, {{kValidationNote, "2 4 0" + print}});
  const std::string other = read_file(folder / "other");
  EXPECT_TRUE(go_on_with(&other) == bytes) << "where it holds other weights";
}

TEST_F(BestFileOf, ARunWithoutValidationIsKept) {
  ToyRun toy(options, scripted({5, 4, 6, 7}, next));
  train(toy, 4, data);
  const std::string bytes = read_file(folder / kFile);
  ToyRun off = go_on({});
  off.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
  off.trainer->add(std::make_unique<BestFile>(folder / kFile));
  test::stop_after(off, 6);
  EXPECT_EQ(read_file(folder / kFile), bytes);
  next = 0;
  ToyRun on = go_on(scripted({5, 5, 3}, next));
  EXPECT_EQ(on.trainer->state().step, 6);
  EXPECT_EQ(on.best.note(), "2 4 1" + print);
  train(on, 10, data);
  EXPECT_EQ(note(), "9 3 0" + print);
}

TEST_F(BestFileOf, ARunThatKnowsNoneIsRemoved) {
  write_file(folder / kFile, "of another run");
  ToyRun toy(options, scripted({5}, next));
  train(toy, 1, data);
  EXPECT_FALSE(std::filesystem::exists(folder / kFile));
}

TEST_F(BestFileOf, OtherValidationDataTakesTheFormerOnesPlace) {
  ToyRun toy(options, scripted({5, 1, 6, 7}, next));
  train(toy, 4, data);
  SequenceDataset other(3);
  other.add(std::vector<std::int64_t>{1, 2, 3}, 3);
  next = 0;
  ToyRun second = go_on(scripted({8, 9, 9, 9}, next));
  train(second, 7, other);
  EXPECT_THAT(warnings, ElementsAre("the validation data are others than before: " +
                                    data.fingerprint() + " were, " + other.fingerprint() +
                                    " are; the best weights are sought anew"));
  EXPECT_EQ(note(), "4 8 0 " + other.fingerprint());
}

}  // namespace
}  // namespace maskgrad
