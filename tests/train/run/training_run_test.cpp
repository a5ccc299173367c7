// Runs in a folder, of programs that have neither a recipe nor a command line.
#include <algorithm>
#include <fstream>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/callbacks/progress.hpp>
#include <maskgrad/train/evaluate.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/report/report_run.hpp>
#include <maskgrad/train/run/run_files.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/run/program.hpp"

namespace maskgrad {
namespace {

using test::Program;
using test::ScratchFolder;
using test::wrong_answers;
using ::testing::AllOf;
using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

double loss_on(Program& program, const std::filesystem::path& weights, const Dataset& data) {
  ParameterBuffer parameters(program.layers, DType::kFloat32, 99);
  load_weights(weights, parameters);
  const auto model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    return ops::cross_entropy(program.layers(Variable(batch.inputs), pass), batch.targets);
  };
  return evaluate(model, data, 100).front().mean();
}

TEST(TrainingRun, TrainsInAFolderWithFilesLikeThoseOfTheCommandLine) {
  const ScratchFolder folder;
  Program program(folder / "a" / "run");
  program.options.name = "toy";
  program.options.tensorboard = true;
  program.options.step_log = folder / "steps.csv";
  const RunEnd end = program.run();
  EXPECT_EQ(end.outcome, Trainer::Outcome::kDone);
  EXPECT_EQ(end.steps, 9);
  EXPECT_EQ(end.batches, 0);
  ASSERT_EQ(end.totals.size(), 1u);
  EXPECT_EQ(end.totals.front().count, 10) << "all samples of the last epoch";
  EXPECT_FALSE(end.best.defined());
  const RunPaths paths(folder / "a" / "run");
  EXPECT_TRUE(paths.has_ended());
  EXPECT_THAT(read_file(paths.config),
              AllOf(HasSubstr("recipe = 'toy'"), HasSubstr("batch_size = 4 ")));
  EXPECT_TRUE(std::filesystem::exists(paths.checkpoints / "step_000000000009.safetensors"));
  EXPECT_FALSE(std::filesystem::is_empty(paths.logs));
  EXPECT_THAT(read_file(paths.epochs), HasSubstr("\n3,9,"));
  EXPECT_THAT(read_file(folder / "steps.csv"), HasSubstr("\n8,"));
  EXPECT_FALSE(std::filesystem::exists(paths.own_data));
  EXPECT_FALSE(std::filesystem::exists(paths.best));
}

TEST(TrainingRun, LeavesTheWeightsOfItsFileInTheModule) {
  const ScratchFolder folder;
  Program program(folder / "r");
  program.run();
  const auto file = load_model(folder / "r" / "model.safetensors").tensors;
  for (const NamedParameter& named : program.layers.parameters()) {
    const Tensor value = named.parameter->variable().value();
    EXPECT_TRUE(std::ranges::equal(value.values<float>(), file.at(named.name).values<float>()))
        << named.name;
  }
}

TEST(TrainingRun, GoesOnFromTheMiddleOfAnEpochToTheSameBytes) {
  const ScratchFolder folder;
  Program whole(folder / "whole");
  whole.options.ema = 0.9;
  whole.run();
  Program first(folder / "broken");
  first.options.ema = 0.9;
  first.stop_after = 4;
  const RunEnd stopped = first.run();
  EXPECT_EQ(stopped.outcome, Trainer::Outcome::kInterrupted);
  EXPECT_EQ(stopped.steps, 4);
  EXPECT_EQ(stopped.batches, 1);
  ASSERT_EQ(stopped.totals.size(), 1u);
  EXPECT_EQ(stopped.totals.front().count, 4) << "of the batch that the second epoch had";
  EXPECT_DOUBLE_EQ(stopped.totals.front().mean(), whole.losses[3]);
  EXPECT_FALSE(RunPaths(folder / "broken").has_ended());
  Program second(folder / "broken");
  second.options.ema = 0.9;
  EXPECT_EQ(second.go_on().steps, 5);
  EXPECT_THAT(second.warnings, IsEmpty());
  std::vector<double> losses = first.losses;
  losses.insert(losses.end(), second.losses.begin(), second.losses.end());
  EXPECT_EQ(losses, whole.losses);
  EXPECT_TRUE(read_file(folder / "broken" / "model.safetensors") ==
              read_file(folder / "whole" / "model.safetensors"));
}

TEST(TrainingRun, BeginsWhereThereIsNothingToResumeAndEndsWhereNothingIsLeft) {
  const ScratchFolder folder;
  Program program(folder / "r");
  EXPECT_EQ(program.go_on().steps, 9);
  const std::string model = read_file(folder / "r" / "model.safetensors");
  const RunEnd nothing_left = program.go_on();
  EXPECT_EQ(nothing_left.steps, 0);
  EXPECT_THAT(nothing_left.totals, IsEmpty());
  EXPECT_TRUE(read_file(folder / "r" / "model.safetensors") == model);
  program.options.epochs = 5;
  EXPECT_EQ(program.go_on().steps, 6);
  EXPECT_THAT(program.warnings, ElementsAre("changed from step 10 on: epochs: 3 -> 5"));
  EXPECT_THAT(read_file(folder / "r" / "config.toml"), HasSubstr("\nepochs = 5 "));
  program.go_on();
  EXPECT_EQ(program.warnings.size(), 1U) << "it is said once";
}

TEST(TrainingRun, NeedsNoTableOfEpochsWhereItMakesNoStep) {
  struct Never : Callback {
    bool wants_to_stop() const override { return true; }
  };
  const ScratchFolder folder;
  Program idle(folder / "idle");
  std::vector<std::unique_ptr<Callback>> callbacks;
  callbacks.push_back(std::make_unique<Never>());
  EXPECT_EQ(idle.run(std::move(callbacks)).steps, 0);
  EXPECT_FALSE(std::filesystem::exists(folder / "idle")) << "it leaves the folder as it was";
}

// It would no longer vouch for the table.
TEST(TrainingRun, KeepsTheModelOfARunThatLostItsTable) {
  const ScratchFolder folder;
  const RunPaths paths(folder / "r");
  Program program(paths.folder);
  program.run();
  const std::string model = read_file(paths.model), table = read_file(paths.epochs);
  std::filesystem::remove(paths.epochs);
  EXPECT_THAT(test::error_of([&] { program.go_on(); }), HasSubstr(paths.epochs.string()));
  EXPECT_TRUE(read_file(paths.model) == model);
  write_file(paths.epochs, table);
  EXPECT_EQ(program.go_on().steps, 0);
  EXPECT_TRUE(read_file(paths.model) == model);
  std::filesystem::remove(paths.epochs);
  std::filesystem::remove(paths.model);
  EXPECT_EQ(program.go_on().steps, 0);
  EXPECT_TRUE(paths.has_ended()) << "nothing vouches for the table";
}

// The points of validation that a reader of the logs finds.
std::vector<std::int64_t> validated_steps(const RunPaths& paths) {
  std::vector<std::int64_t> steps;
  std::vector<std::string> warnings;
  for (const Event& event : read_event_folder(paths.logs, warnings)) {
    for (const SummaryValue& value : event.values) {
      if (value.tag == "validation/loss") steps.push_back(event.step);
    }
  }
  EXPECT_THAT(warnings, IsEmpty());
  return steps;
}

TEST(TrainingRun, GoesOnWithValidationAsIfUnbroken) {
  const SequenceDataset wrong = wrong_answers();
  const auto prepare = [&](Program& program) {
    program.options.validation = &wrong;
    program.options.val_every = 2;
    program.options.checkpoint_every = 2;
    program.options.patience = 3;
    program.options.epochs = 100;
    program.options.lr = 0.1;
    program.options.tensorboard = true;
  };
  const ScratchFolder folder;
  Program whole(folder / "whole");
  prepare(whole);
  const RunEnd expected = whole.run();
  EXPECT_LT(expected.steps, 300) << "patience ends it";
  const RunPaths whole_paths(folder / "whole");
  for (const std::int64_t broken_at : {1, 4, 5, 7}) {
    ASSERT_LT(broken_at, expected.steps);
    const RunPaths paths(folder / std::to_string(broken_at).c_str());
    Program first(paths.folder), second(paths.folder);
    prepare(first);
    first.stop_after = broken_at;
    first.run();
    prepare(second);
    const RunEnd end = second.go_on();
    EXPECT_EQ(broken_at + end.steps, expected.steps);
    EXPECT_EQ(end.best.note(), expected.best.note());
    EXPECT_TRUE(read_file(paths.best) == read_file(whole_paths.best));
    EXPECT_TRUE(read_file(paths.model) == read_file(whole_paths.model));
    EXPECT_EQ(validated_steps(paths), validated_steps(whole_paths)) << broken_at;
  }
}

TEST(TrainingRun, StepsAtTheRatesOfItsSchedule) {
  const ScratchFolder folder;
  Program program(folder / "r");
  program.options.epochs = 2;
  program.options.schedule = Schedule::Kind::kWsd;
  program.options.decay_share = 0.5;
  std::vector<double> rates;
  std::vector<std::unique_ptr<Callback>> callbacks;
  callbacks.push_back(std::make_unique<test::AtStep>(
      [&](const StepInfo& step) { rates.push_back(step.lr / program.options.lr); }));
  program.run(std::move(callbacks));
  EXPECT_THAT(rates, ElementsAre(1, 1, 1, 1, DoubleEq(2.0 / 3), DoubleEq(1.0 / 3)));
}

TEST(TrainingRun, KeepsTheWeightsThatDidBestOnOtherData) {
  const ScratchFolder folder;
  const SequenceDataset wrong = wrong_answers();
  Program program(folder / "r");
  program.options.validation = &wrong;
  program.options.val_every = 1;
  program.options.lr = 0.1;
  const RunEnd end = program.run();
  EXPECT_FALSE(end.out_of_patience);
  ASSERT_TRUE(end.best.defined());
  EXPECT_LT(end.best.step, 9) << "the data to learn from say otherwise";
  const RunPaths paths(folder / "r");
  EXPECT_DOUBLE_EQ(loss_on(program, paths.best, wrong), end.best.loss);
  EXPECT_GT(loss_on(program, paths.model, wrong), end.best.loss);
  Program again(folder / "again");
  again.options.lr = 0.1;
  again.options.steps = end.best.step;
  again.run();
  EXPECT_DOUBLE_EQ(loss_on(again, folder / "again" / "model.safetensors", wrong), end.best.loss)
      << "they are the weights of that step";
}

TEST(TrainingRun, StopsWhenPatienceHasRunOut) {
  const ScratchFolder folder;
  const SequenceDataset wrong = wrong_answers();
  Program program(folder / "r");
  program.options.validation = &wrong;
  program.options.val_every = 1;
  program.options.patience = 2;
  program.options.epochs = 100;
  program.options.lr = 0;  // nothing gets better
  const RunEnd end = program.run();
  EXPECT_TRUE(end.out_of_patience);
  EXPECT_EQ(end.outcome, Trainer::Outcome::kDone);
  EXPECT_EQ(end.steps, 3) << "the first, and two that are no better";
  EXPECT_EQ(end.batches, 0) << "it is the end of an epoch";
  EXPECT_EQ(end.best.step, 1);
  EXPECT_TRUE(RunPaths(folder / "r").has_ended());
}

TEST(TrainingRun, LetsACallbackOfTheProgramEndTheRun) {
  struct Enough : Callback {
    bool wants_to_stop() const override { return *steps >= 5; }
    void on_step(const Trainer&, const StepInfo&) override { ++*steps; }
    int* steps = nullptr;
  };
  const ScratchFolder folder;
  Program program(folder / "r");
  int steps = 0;
  std::vector<std::unique_ptr<Callback>> callbacks;
  auto enough = std::make_unique<Enough>();
  enough->steps = &steps;
  callbacks.push_back(std::move(enough));
  const RunEnd end = program.run(std::move(callbacks));
  EXPECT_EQ(end.outcome, Trainer::Outcome::kDone);
  EXPECT_EQ(end.steps, 5);
  EXPECT_EQ(end.batches, 2);
  EXPECT_TRUE(RunPaths(folder / "r").has_ended());
}

TEST(TrainingRun, TellsACallbackOfTheProgramWhatIsSaved) {
  struct Watch : Callback {
    void on_epoch(const Trainer&, const EpochInfo& epoch) override {
      const auto name = fmt::format("step_{:012}.safetensors", epoch.steps);
      seen->push_back(std::filesystem::exists(paths->checkpoints / name));
    }
    const RunPaths* paths = nullptr;
    std::vector<bool>* seen = nullptr;
  };
  const ScratchFolder folder;
  const RunPaths paths(folder / "r");
  std::vector<bool> seen;
  auto watch = std::make_unique<Watch>();
  watch->paths = &paths;
  watch->seen = &seen;
  std::string shown;
  std::vector<std::unique_ptr<Callback>> callbacks;
  callbacks.push_back(std::move(watch));
  callbacks.push_back(std::make_unique<Progress>(Progress::Style::kLines, false,
                                                 [&](std::string_view text) { shown += text; }));
  Program(paths.folder).run(std::move(callbacks));
  EXPECT_THAT(seen, ElementsAre(true, true, true));
  EXPECT_THAT(shown, HasSubstr("epoch 3/3  loss "));
}

TEST(TrainingRun, GoesOnAfterAProcessDiedBeforeItSavedAnything) {
  const ScratchFolder folder;
  const RunPaths paths(folder / "r");
  Program former(paths.folder);
  former.run();
  const std::string model = read_file(paths.model), config = read_file(paths.config);
  FormerRun(paths).put_aside(false);
  EXPECT_EQ(former.go_on().steps, 0) << "the new run had written nothing";
  EXPECT_TRUE(read_file(paths.model) == model);
  FormerRun(paths).put_aside(false);
  std::filesystem::create_directory(paths.checkpoints);
  std::ofstream(paths.config) << config;
  EXPECT_EQ(former.go_on().steps, 9);
  EXPECT_THAT(former.warnings, ElementsAre(EndsWith("it starts anew")));
  EXPECT_TRUE(read_file(paths.model) == model);
}

TEST(TrainingRun, KeepsTheThreadsOfTheProcessUnlessToldOtherwise) {
  const ScratchFolder folder;
  set_num_threads(2);
  Program program(folder / "r");
  program.run();
  EXPECT_EQ(num_threads(), 2);
  program.options.threads = 1;
  program.go_on();
  EXPECT_EQ(num_threads(), 1);
}

}  // namespace
}  // namespace maskgrad
