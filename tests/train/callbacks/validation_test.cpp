// Validation: what it measures, keeps, and when it ends a run.
#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/tensorboard_callback.hpp>
#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/model_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::same_bits;
using test::ScratchFolder;
using test::ToyRun;
using ::testing::ElementsAre;

// Hears of evaluations: "3: 0.5 best", and the weights that the trainer had then.
struct Heard : Callback {
  struct Kept {
    std::vector<std::string> texts;
    std::vector<double> losses;
    std::vector<Tensor> weights;
  };
  explicit Heard(Kept& k) : kept(k) {}
  void on_evaluation(const Trainer& trainer, const EvaluationInfo& info) override {
    const double loss = info.totals.front().mean();
    kept.texts.push_back(fmt::format("{}: {}{}", info.step, loss, info.is_best ? " best" : ""));
    kept.losses.push_back(loss);
    kept.weights.push_back(trainer.parameters().values().clone());
  }
  Kept& kept;
};

// A model that learns as the toy does, and is evaluated to these losses, one after the other.
Model scripted(ToyRun*& toy, std::vector<double> losses, std::size_t& next) {
  return [&toy, losses, &next](const Batch& batch, Pass& pass) -> ModelOutput {
    if (pass.is_training()) return toy->evaluate(batch);
    return {ops::SumCount{Variable(Tensor::full({}, losses.at(next++), DType::kFloat64)), 1}};
  };
}

TEST(Validation, MeasuresTheModelOnItsOwnData) {
  const SequenceDataset data = test::toy_data();
  for (const std::int64_t every : {0, 2}) {
    ToyRun toy({.training = {.lr = 0.05, .epochs = 2, .max_steps = 5}});
    Heard::Kept heard;
    toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = every}));
    toy.trainer->add(std::make_unique<Heard>(heard));
    toy.run();
    std::vector<std::string> steps;
    for (const std::string& text : heard.texts) steps.push_back(text.substr(0, text.find(':')));
    const std::vector<std::string> at_epochs = {"3", "5"}, at_steps = {"2", "4", "5"};
    EXPECT_EQ(steps, every == 0 ? at_epochs : at_steps);
    const Model model = [&](const Batch& batch, Pass&) { return toy.evaluate(batch); };
    EXPECT_EQ(heard.losses.back(), evaluate(model, data, 100).front().mean());
  }
}

TEST(Validation, ChangesNoBitOfTheTraining) {
  const SequenceDataset data = test::toy_data();
  ToyRun with({.training = {.epochs = 3}}), without({.training = {.epochs = 3}});
  with.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = 1}));
  with.run();
  without.run();
  EXPECT_TRUE(same_bits(with.parameters->values(), without.parameters->values()));
}

TEST(Validation, KeepsTheWeightsOfTheSmallestLoss) {
  const ScratchFolder folder;
  const SequenceDataset data = test::toy_data();
  ToyRun* self = nullptr;
  std::size_t next = 0;
  ToyRun toy({.training = {.lr = 0.05, .epochs = 2}}, scripted(self, {5, 2, 2, 3, 2, 4}, next));
  self = &toy;
  Heard::Kept heard;
  toy.trainer->add(std::make_unique<Validation>(
      data, Validation::Options{.every_steps = 1, .best = folder / "best.safetensors", .notes = [] {
                                  return Notes{{"recipe", "toy"}};
                                }}));
  toy.trainer->add(std::make_unique<Heard>(heard));
  toy.run();
  EXPECT_THAT(heard.texts, ElementsAre("1: 5 best", "2: 2 best", "3: 2", "4: 3", "5: 2", "6: 4"));
  const ModelFile best = load_model(folder / "best.safetensors");
  EXPECT_EQ(best.notes.at("recipe"), "toy");
  EXPECT_EQ(best.notes.at(kValidationNote), "2 2 0");
  ToyRun other({.seed = 5});
  other.parameters->load(best.tensors);
  EXPECT_TRUE(same_bits(other.parameters->values(), heard.weights[1]));
}

TEST(Validation, EndsARunWhosePatienceIsOver) {
  const SequenceDataset data = test::toy_data();
  ToyRun* self = nullptr;
  std::size_t next = 0;
  ToyRun toy({.training = {.epochs = 9}}, scripted(self, {5, 4, 6, 3, 3, 3, 9}, next));
  self = &toy;
  test::Notes::Kept kept;
  toy.trainer->add(
      std::make_unique<Validation>(data, Validation::Options{.every_steps = 2, .patience = 2}));
  toy.trainer->add(std::make_unique<test::Notes>(kept));
  EXPECT_EQ(toy.run(), Trainer::Outcome::kDone);
  EXPECT_EQ(toy.trainer->state().step, 12) << "4 beats 5, 3 beats 4, and two more do not beat it";
  EXPECT_EQ(kept.events.back(), "epoch 4 at 12");
  EXPECT_EQ(toy.run(), Trainer::Outcome::kDone);
  EXPECT_EQ(toy.trainer->state().step, 12) << "it does not go on by itself";
}

TEST(Validation, GoesOnFromACheckpointAsIfUnbroken) {
  const SequenceDataset data = test::toy_data();
  const std::vector<double> losses = {5, 4, 6, 3, 3, 7, 3, 1};
  const test::ToyOptions options = {.training = {.epochs = 9, .checkpoint_every = 1}};
  const auto validation = [&](const std::filesystem::path& folder, const Notes& resumed) {
    return std::make_unique<Validation>(
        data,
        Validation::Options{.every_steps = 2, .patience = 3, .best = folder / "best.safetensors"},
        resumed);
  };
  const auto run = [&](const std::filesystem::path& folder, std::size_t& next, std::int64_t until,
                       std::vector<std::string>& texts) {
    Checkpoint checkpoint;
    ToyRun* self = nullptr;
    ToyRun toy(options, scripted(self, losses, next), [&](ParameterBuffer& p, Optimizer& o) {
      if (const auto latest = latest_checkpoint(folder))
        checkpoint = load_checkpoint(*latest, p, o);
      return checkpoint.state;
    });
    self = &toy;
    Heard::Kept heard;
    test::Notes::Kept ignored;
    std::atomic<bool> stop = false;
    toy.trainer->add(
        std::make_unique<test::Notes>(ignored, [&](auto& step) { stop = step.step + 1 == until; }));
    toy.trainer->add(validation(folder, checkpoint.notes));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder));
    toy.trainer->add(std::make_unique<Heard>(heard));
    toy.run(stop);
    texts.insert(texts.end(), heard.texts.begin(), heard.texts.end());
    return toy.trainer->state().step;
  };
  const ScratchFolder whole;
  std::size_t next = 0;
  std::vector<std::string> expected;
  EXPECT_EQ(run(whole.path(), next, -1, expected), 14);
  for (const std::int64_t broken_at : {1, 4, 8, 9, 13}) {
    const ScratchFolder folder;
    std::vector<std::string> texts;
    next = 0;
    run(folder.path(), next, broken_at, texts);
    EXPECT_EQ(run(folder.path(), next, -1, texts), 14);
    EXPECT_EQ(texts, expected) << broken_at;
    for (const char* file : {"best.safetensors", "step_000000000014.safetensors"}) {
      EXPECT_TRUE(read_file(folder / file) == read_file(whole / file)) << file;
    }
  }
}

TEST(Validation, TakesTheAverageWhereThereIsOne) {
  const ScratchFolder folder;
  const SequenceDataset data = test::toy_data();
  ToyRun toy({});
  WeightAverage average(*toy.parameters, 0.5);
  DataLoader loader(data, {.batch_size = 4});
  const Model model = [&](const Batch& batch, Pass&) { return toy.evaluate(batch); };
  Trainer trainer(model, *toy.parameters, *toy.optimizer, loader, {.lr = 0.1, .average = &average});
  Heard::Kept heard;
  trainer.add(
      std::make_unique<Validation>(data, Validation::Options{.best = folder / "best.safetensors"}));
  trainer.add(std::make_unique<Heard>(heard));
  trainer.run(false);
  EXPECT_TRUE(same_bits(heard.weights.back(), average.values()));
  const WithAverage with_average(&average, *toy.parameters);
  EXPECT_EQ(heard.losses.back(), evaluate(model, data, 100).front().mean());
  toy.parameters->load(load_model(folder / "best.safetensors").tensors);
  EXPECT_TRUE(same_bits(toy.parameters->values(), heard.weights.back()));
}

TEST(Validation, IsLoggedForTensorBoard) {
  const ScratchFolder folder;
  const SequenceDataset data = test::toy_data();
  ToyRun toy({});
  Heard::Kept heard;
  toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = 2}));
  toy.trainer->add(std::make_unique<TensorBoardCallback>(folder.path()));
  toy.trainer->add(std::make_unique<Heard>(heard));
  toy.run();
  std::map<std::string, float> found;
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
    for (const Event& event : read_events(file.path()).events) {
      for (const SummaryValue& value : event.values) {
        if (event.step == 2) found[value.tag] = std::get<float>(value.value);
      }
    }
  }
  EXPECT_EQ(found.at("validation/loss"), static_cast<float>(heard.losses.front()));
  EXPECT_TRUE(found.contains("validation/accuracy"));
}

TEST(Validation, RefusesWhatMakesNoSense) {
  const SequenceDataset data = test::toy_data(), none;
  const auto making = [&](const Dataset& of, Validation::Options options, const Notes& notes = {}) {
    return error_of([&] { Validation(of, std::move(options), notes); });
  };
  EXPECT_EQ(making(none, {}), "[validation] there are no samples");
  EXPECT_EQ(making(data, {.every_steps = -1}),
            "[validation] every_steps must be at least 0, not -1");
  EXPECT_EQ(making(data, {.batch_size = 0}), "[validation] batch_size must be at least 1, not 0");
  EXPECT_EQ(making(data, {.patience = -2}), "[validation] patience must be at least 0, not -2");
  for (const char* note : {"", "1 2", "1 nan 0", "-1 2.5 0", "1 2.5 0 x", "a b c", "1 2.5 -1"}) {
    EXPECT_THAT(making(data, {}, {{kValidationNote, note}}),
                ::testing::StartsWith("[validation] the checkpoint's note "))
        << note;
  }
  EXPECT_EQ(making(data, {}, {{kValidationNote, "12 0.5 3"}}), "no error");
}

}  // namespace
}  // namespace maskgrad
