#include <filesystem>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/tensorboard_callback.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::ScratchFolder;
using test::ToyRun;

// The values of the only event file of a folder, by tag and step.
std::map<std::pair<std::string, std::int64_t>, SummaryValue> read_folder(const fs::path& folder) {
  std::map<std::pair<std::string, std::int64_t>, SummaryValue> values;
  for (const Event& event : read_events(fs::directory_iterator(folder)->path()).events) {
    for (const SummaryValue& value : event.values) values[{value.tag, event.step}] = value;
  }
  return values;
}

TEST(TensorBoardCallback, WritesTheCurvesOfEachEpoch) {
  const ScratchFolder folder;
  ToyRun toy({.training = {.lr = 0.25, .epochs = 2}});
  test::Notes::Kept kept;
  toy.trainer->add(std::make_unique<TensorBoardCallback>(folder / "a" / "b"));
  toy.trainer->add(std::make_unique<test::Notes>(kept));
  toy.run();
  const auto values = read_folder(folder / "a" / "b");
  for (const std::int64_t epoch : {0, 1}) {
    const std::int64_t step = 3 * (epoch + 1);
    EXPECT_EQ(std::get<float>(values.at({"epoch/loss", step}).value),
              static_cast<float>(kept.epoch_losses[static_cast<std::size_t>(epoch)]));
    EXPECT_EQ(std::get<float>(values.at({"epoch/learning_rate", step}).value), 0.25F);
    EXPECT_TRUE(values.contains({"epoch/accuracy", step}));
  }
}

TEST(TensorBoardCallback, WritesTheLearningRateOfTheLastStep) {
  const ScratchFolder folder;
  ToyRun toy({.training = {.lr = 0.8, .schedule = {.warmup_steps = 4}, .epochs = 2}});
  toy.trainer->add(std::make_unique<TensorBoardCallback>(folder.path()));
  toy.run();
  const auto values = read_folder(folder.path());
  EXPECT_EQ(std::get<float>(values.at({"epoch/learning_rate", 3}).value), 0.6F);
  EXPECT_EQ(std::get<float>(values.at({"epoch/learning_rate", 6}).value), 0.8F);
}

TEST(TensorBoardCallback, WritesHistogramsOfEachParameterAndItsGradient) {
  const ScratchFolder folder;
  ToyRun toy({.training = {.max_steps = 2}});
  toy.trainer->add(std::make_unique<TensorBoardCallback>(folder.path()));
  toy.run();
  const auto values = read_folder(folder.path());
  EXPECT_EQ(values.size(), 3U + 2 * 3);
  for (const auto& entry : toy.parameters->entries()) {
    const Variable& parameter = entry.parameter->variable();
    for (const auto& [prefix, tensor] :
         {std::pair("weights/", parameter.value()), {"gradients/", parameter.grad()}}) {
      const auto numbers = test::to_doubles(tensor);
      const auto& histogram = std::get<Histogram>(values.at({prefix + entry.name, 2}).value);
      EXPECT_EQ(histogram.num, static_cast<double>(numbers.size()));
      EXPECT_EQ(histogram.min, *std::min_element(numbers.begin(), numbers.end()));
      EXPECT_EQ(histogram.max, *std::max_element(numbers.begin(), numbers.end()));
      EXPECT_NEAR(histogram.sum, std::accumulate(numbers.begin(), numbers.end(), 0.0), 1e-12);
    }
  }
}

TEST(TensorBoardCallback, AddsAFileForEachProcessThatTrains) {
  const ScratchFolder folder;
  for (std::ptrdiff_t run = 1; run <= 2; ++run) {
    ToyRun toy({});
    toy.trainer->add(std::make_unique<TensorBoardCallback>(folder.path()));
    toy.run();
    EXPECT_EQ(folder.count(), run);
  }
}

// The restart that a run of three steps an epoch writes when it goes on from here, where a process
// before has written events or not; -1 for none.
std::int64_t restart_from(std::int64_t step, DataPosition position, bool has_events) {
  const ScratchFolder folder;
  if (has_events) EventWriter(folder.path()).flush();
  ToyRun toy({.training = {.epochs = 9}}, {}, [&](ToyRun&) {
    return TrainState{step, position, {}};
  });
  toy.trainer->add(std::make_unique<TensorBoardCallback>(folder.path()));
  toy.run(true);
  std::int64_t restart = -1;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    for (const Event& event : read_events(entry.path()).events) {
      if (event.is_restart) restart = event.step;
    }
  }
  return restart;
}

TEST(TensorBoardCallback, SaysWhichStepsAreVoidWhenARunGoesOn) {
  EXPECT_EQ(restart_from(0, {0, 0}, false), -1);
  EXPECT_EQ(restart_from(0, {0, 0}, true), 1) << "it was killed before its first checkpoint";
  EXPECT_EQ(restart_from(3, {1, 0}, true), 4) << "what the end of the epoch wrote at step 3 stands";
  EXPECT_EQ(restart_from(4, {1, 1}, true), 5) << "and so does what was measured within an epoch";
  EXPECT_EQ(restart_from(4, {1, 1}, false), -1) << "the events before are gone";
}

TEST(TensorBoardCallback, NamesTheFolderItCannotMake) {
  const ScratchFolder folder;
  OutputFile(folder / "file", OutputFile::Mode::kNew).close();
  ToyRun toy({});
  toy.trainer->add(std::make_unique<TensorBoardCallback>(folder / "file"));
  EXPECT_THAT(test::error_of([&] { toy.run(); }), ::testing::StartsWith("[file] cannot create"));
}

}  // namespace
}  // namespace maskgrad
