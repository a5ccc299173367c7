// Runs in a folder that cannot begin, or fail: what they say, and what they leave.
#include <fstream>

#include <gmock/gmock.h>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/run/folder_claim.hpp>
#include <maskgrad/train/run/run_errors.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/run/program.hpp"

namespace maskgrad {
namespace {

using test::AtStep;
using test::error_of;
using test::Program;
using test::ScratchFolder;
using test::wrong_answers;
using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(TrainingRunRefusals, RefusesAFolderThatIsInUse) {
  const ScratchFolder folder;
  const FolderClaim claim(RunPaths(folder / "r"), FolderClaim::Purpose::kNewRun);
  for (const bool resume : {false, true}) {
    Program program(folder / "r");
    program.options.resume = resume;
    EXPECT_THAT(error_of([&] { program.run(); }), HasSubstr("another run is training in"));
  }
}

TEST(TrainingRunRefusals, RefusesAFolderOfAnotherRun) {
  const ScratchFolder folder;
  Program(folder / "r").run();
  const std::string model = read_file(folder / "r" / "model.safetensors");
  Program again(folder / "r");
  EXPECT_THAT(error_of([&] { again.run(); }),
              EndsWith("holds a run already: resume goes on with it, force replaces it, folder "
                       "names another folder"));
  EXPECT_THROW(again.run(), UsageError);
  Program other(folder / "r");
  other.options.seed = 7;
  EXPECT_THAT(error_of([&] { other.go_on(); }), HasSubstr("has seed = 0: it cannot go on with 7"));
  EXPECT_THROW(other.go_on(), UsageError);
  Program renamed(folder / "r");
  renamed.options.name = "other";
  EXPECT_THAT(error_of([&] { renamed.go_on(); }), HasSubstr("'recipe' must be one of other"));
  EXPECT_TRUE(read_file(folder / "r" / "model.safetensors") == model);
  other.options.resume = false;
  other.options.force = true;
  EXPECT_EQ(other.run().steps, 9);
  EXPECT_FALSE(read_file(folder / "r" / "model.safetensors") == model);
}

TEST(TrainingRunRefusals, RefusesOtherDataWithinAnEpoch) {
  const ScratchFolder folder;
  Program first(folder / "r");
  first.stop_after = 4;
  first.run();
  Program other(folder / "r");
  other.data = wrong_answers();
  EXPECT_THAT(error_of([&] { other.go_on(); }),
              HasSubstr("it stands within epoch 2, which needs the former data"));
}

TEST(TrainingRunRefusals, RefusesOptionsThatContradictEachOtherBeforeItMakesAFolder) {
  const ScratchFolder folder;
  const auto refusal = [&](const std::function<void(TrainingOptions&)>& change) {
    Program program(folder / "r");
    change(program.options);
    EXPECT_THROW(program.run(), UsageError);
    return error_of([&] { program.run(); });
  };
  EXPECT_EQ(refusal([](TrainingOptions& o) { o.patience = 2; }),
            "[train] patience is 2: it needs validation, or patience 0");
  EXPECT_EQ(refusal([](TrainingOptions& o) { o.resume = o.force = true; }),
            "[train] resume and force contradict each other");
  EXPECT_EQ(refusal([](TrainingOptions& o) { o.folder.clear(); }),
            "[train] folder is empty: name one for the files of the run");
  EXPECT_EQ(refusal([](TrainingOptions& o) { o.epochs = -1; }),
            "[config] options: 'epochs' must be at least 0, not -1");
  EXPECT_EQ(refusal([](TrainingOptions& o) { o.epochs = 0; }),
            "[train] epochs, steps and minutes are all 0: nothing would end the run");
  EXPECT_EQ(refusal([](TrainingOptions& o) { o.decay_share = 0; }),
            "[train] decay_share must be above 0 and at most 1, not 0");
  EXPECT_THAT(refusal([](TrainingOptions& o) { o.optimizer = "adagrad"; }), HasSubstr("'adagrad'"));
  EXPECT_THAT(refusal([&](TrainingOptions& o) { o.step_log = folder / "r" / "epochs.csv"; }),
              HasSubstr("belongs to the run itself"));
  EXPECT_FALSE(std::filesystem::exists(folder / "r"));
}

TEST(TrainingRunRefusals, LeavesNothingBehindWithoutData) {
  const ScratchFolder folder;
  const SequenceDataset empty(3);
  const std::string what_to_do =
      ": check that the file or folder they come from was found, and is not empty";
  Program program(folder / "r");
  program.data = empty;
  EXPECT_EQ(error_of([&] { program.run(); }),
            "[data] the training data hold no samples, size() is 0" + what_to_do);
  program.data = test::toy_data();
  program.options.validation = &empty;
  EXPECT_EQ(error_of([&] { program.run(); }),
            "[data] the validation data hold no samples, size() is 0" + what_to_do);
  EXPECT_FALSE(std::filesystem::exists(folder / "r"));
}

TEST(TrainingRunRefusals, NeverWritesOverFilesOfOthers) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "r");
  std::ofstream(folder / "r" / "model.safetensors") << "mine";
  Program program(folder / "r");
  EXPECT_THROW(program.run(), UsageError);
  EXPECT_THROW(program.go_on(), UsageError);
  EXPECT_EQ(read_file(folder / "r" / "model.safetensors"), "mine");
}

TEST(TrainingRunRefusals, LeavesTheFolderAsItWasWhereItCannotBegin) {
  const ScratchFolder folder;
  Program(folder / "r").run();
  const std::string model = read_file(folder / "r" / "model.safetensors");
  Program program(folder / "r");
  program.options.force = true;
  std::vector<std::unique_ptr<Callback>> callbacks;
  callbacks.push_back(nullptr);
  EXPECT_EQ(error_of([&] { program.run(std::move(callbacks)); }),
            "[train] there is no callback to add");
  EXPECT_TRUE(read_file(folder / "r" / "model.safetensors") == model);
}

TEST(TrainingRunRefusals, SaysWhatIsKeptWhereItFails) {
  const ScratchFolder folder;
  Program first(folder / "r");
  first.options.optimizer = "sgd";
  first.stop_after = 4;
  first.run();
  Program second(folder / "r");
  second.options.optimizer = "sgd";
  second.options.lr = 1e30;  // the second step of this call fails
  EXPECT_THAT(error_of([&] { second.go_on(); }),
              EndsWith("; the run is as it was before: start it again with a smaller lr"));
  EXPECT_THAT(read_file(folder / "r" / "config.toml"), HasSubstr("\nlr = 0.01 "));
  Program third(folder / "r");
  third.options.optimizer = "sgd";
  third.options.resume = true;
  std::vector<std::unique_ptr<Callback>> callbacks;
  callbacks.push_back(std::make_unique<AtStep>(
      [](const StepInfo& step) { check(step.step < 7, "program", "it had enough"); }));
  EXPECT_THAT(error_of([&] { third.run(std::move(callbacks)); }),
              EndsWith("it had enough; the last checkpoint is kept, resume goes on from it"));
}

TEST(TrainingRunRefusals, KeepTheKindOfAnError) {
  const ScratchFolder folder;
  Program fast(folder / "fast");
  fast.options.optimizer = "sgd";
  fast.options.lr = 1e30;
  EXPECT_THROW(fast.run(), Diverged);
  Program program(folder / "r");
  std::vector<std::unique_ptr<Callback>> callbacks;
  callbacks.push_back(std::make_unique<AtStep>(
      [](const StepInfo&) { throw UsageError("program", "it wants another call"); }));
  EXPECT_THROW(program.run(std::move(callbacks)), UsageError);
}

}  // namespace
}  // namespace maskgrad
