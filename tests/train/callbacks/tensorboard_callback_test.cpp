#include <filesystem>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/tensorboard_callback.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/graph_def.hpp>

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

// The graphs in all event files of a folder.
std::vector<ModelGraph> graphs_in(const fs::path& folder) {
  std::vector<ModelGraph> graphs;
  for (const auto& entry : fs::directory_iterator(folder)) {
    for (const Event& event : read_events(entry.path()).events) {
      if (!event.graph_def.empty()) graphs.push_back(decode_graph(event.graph_def));
    }
  }
  return graphs;
}

// Runs the toy model with a callback that may look at a batch.
void run_with_graph(ToyRun& toy, const fs::path& folder, Warn warn = {}) {
  const auto peek = [&] { return toy.loader->peek(); };
  toy.trainer->add(std::make_unique<TensorBoardCallback>(
      folder, TensorBoardCallback::Options{.peek = peek, .warn = std::move(warn)}));
  toy.run();
}

TEST(TensorBoardCallback, WritesTheGraphOfTheModelOnceHoweverOftenTheRunGoesOn) {
  const ScratchFolder folder;
  for (std::ptrdiff_t run = 1; run <= 3; ++run) {
    ToyRun toy({});
    run_with_graph(toy, folder.path());
    EXPECT_EQ(folder.count(), run);
  }
  const std::vector<ModelGraph> graphs = graphs_in(folder.path());
  ASSERT_EQ(graphs.size(), 1U);
  std::vector<std::string> parameters;
  for (const GraphNode& node : graphs[0].nodes) {
    if (node.op == "VariableV2") parameters.push_back(node.name);
  }
  EXPECT_THAT(parameters, ::testing::ElementsAre("embed/weight", "dense/weight", "dense/bias"));
}

TEST(TensorBoardCallback, WritesTheGraphBesideFilesThatHoldNone) {
  const ScratchFolder folder;
  fs::create_directory(folder / "plugins");
  fs::create_directory(folder / "events.out.tfevents.1.folder");
  OutputFile(folder / "events.out.tfevents.2.empty", OutputFile::Mode::kNew).close();
  OutputFile other(folder / "events.out.tfevents.3.noise", OutputFile::Mode::kNew);
  other.write("no record at all");
  other.close();
  ToyRun toy({});
  run_with_graph(toy, folder.path());
  fs::remove(folder / "plugins");
  fs::remove(folder / "events.out.tfevents.1.folder");
  EXPECT_EQ(graphs_in(folder.path()).size(), 1U);
}

TEST(TensorBoardCallback, HasNoPartInWhatTheRunComputes) {
  const ScratchFolder folder;
  test::Notes::Kept with, without;
  Tensor weights[2];
  for (const bool has_graph : {false, true}) {
    ToyRun toy({.training = {.lr = 0.05, .epochs = 3}, .shuffle = true});
    toy.trainer->add(std::make_unique<test::Notes>(has_graph ? with : without));
    if (has_graph) {
      run_with_graph(toy, folder.path());
    } else {
      toy.run();
    }
    weights[has_graph] = toy.parameters->values().clone();
  }
  EXPECT_EQ(with.losses, without.losses);
  EXPECT_TRUE(is_identical(weights[0], weights[1]));
  EXPECT_EQ(graphs_in(folder.path()).size(), 1U);
}

// A reader of its own: the fields of a protobuf message, by number, in order.
struct Field {
  std::uint64_t number, value;
  std::string bytes;
};

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(rest.at(0));
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte % 128) << shift;
    if (byte < 128) return value;
  }
}

std::vector<Field> fields_of(std::string_view rest) {
  std::vector<Field> fields;
  while (!rest.empty()) {
    const std::uint64_t tag = take_varint(rest);
    Field field = {tag / 8, 0, ""};
    if (tag % 8 == 0) {
      field.value = take_varint(rest);
    } else {
      const std::uint64_t size = tag % 8 == 1 ? 8 : tag % 8 == 5 ? 4 : take_varint(rest);
      field.bytes = rest.substr(0, size);
      rest.remove_prefix(size);
    }
    fields.push_back(field);
  }
  return fields;
}

std::string lines_of(const std::vector<Field>& node) {
  std::string line;
  for (const Field& field : node) {
    if (field.number <= 3) line += (line.empty() ? "" : " ") + field.bytes;
  }
  return line;
}

TEST(TensorBoardCallback, WritesAGraphThatAnotherReaderUnderstands) {
  const ScratchFolder folder;
  ToyRun toy({});
  run_with_graph(toy, folder.path());
  const std::string file = read_file(fs::directory_iterator(folder.path())->path());
  // A record is its length in 8 bytes, a checksum in 4, the message, a checksum in 4.
  const auto length = static_cast<unsigned char>(file[0]);
  const std::size_t second = 8 + 4 + length + 4;
  const std::size_t size = static_cast<unsigned char>(file[second]) +
                           256U * static_cast<unsigned char>(file[second + 1]);
  const std::vector<Field> event = fields_of(std::string_view(file).substr(second + 12, size));
  ASSERT_EQ(event.size(), 2U) << "the time, and the graph";
  EXPECT_EQ(event[0].number, 1U);
  ASSERT_EQ(event[1].number, 4U);
  std::vector<std::string> lines;
  for (const Field& node : fields_of(event[1].bytes)) {
    if (node.number == 1) lines.push_back(lines_of(fields_of(node.bytes)));
  }
  EXPECT_THAT(lines,
              ::testing::ElementsAre(
                  "embed/weight VariableV2", "dense/weight VariableV2", "dense/bias VariableV2",
                  "inputs Placeholder", "embed/embedding embedding embed/weight inputs",
                  "embed/Embed Embed embed/embedding", "reshape/reshape reshape embed/Embed",
                  "reshape/Reshape Reshape reshape/reshape",
                  "dense/linear linear reshape/Reshape dense/weight dense/bias",
                  "dense/Dense Dense dense/linear", "targets Placeholder",
                  "cross_entropy cross_entropy dense/Dense targets"));
}

TEST(TensorBoardCallback, GoesOnWithoutAGraphWhereTheModelHasNone) {
  const ScratchFolder folder;
  std::vector<std::string> warnings;
  int calls = 0;
  ToyRun toy({}, [&](ToyRun& run, const Batch& batch, Pass&) {
    check(calls++ >= 2, "toy", "not yet");  // in inference and in training
    return run.evaluate(batch);
  });
  run_with_graph(toy, folder.path(), [&](const std::string& text) { warnings.push_back(text); });
  EXPECT_TRUE(graphs_in(folder.path()).empty());
  EXPECT_THAT(warnings, ::testing::ElementsAre(
                            ::testing::EndsWith("' gets no graph of the model: [toy] not yet")));
}

TEST(TensorBoardCallback, LeavesItToTheStepToTellWhatTheModelThrows) {
  const ScratchFolder folder;
  std::vector<std::string> warnings;
  ToyRun toy({}, [](ToyRun&, const Batch&, Pass&) -> ModelOutput { fail("toy", "never"); });
  const Warn warn = [&](const std::string& text) { warnings.push_back(text); };
  EXPECT_EQ(test::error_of([&] { run_with_graph(toy, folder.path(), warn); }), "[toy] never");
  EXPECT_TRUE(warnings.empty());
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
