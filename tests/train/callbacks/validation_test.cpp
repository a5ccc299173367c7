// Validation: what it measures, keeps, and when it ends a run.
#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/best_file.hpp>
#include <maskgrad/train/callbacks/tensorboard_callback.hpp>
#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/model_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/callbacks/scripted.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Heard;
using test::same_bits;
using test::ScratchFolder;
using test::scripted;
using test::ToyRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  std::size_t next = 0;
  ToyRun toy({.training = {.lr = 0.05, .epochs = 2}}, scripted({5, 2, 2, 3, 2, 4}, next));
  Heard::Kept heard;
  toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = 1}));
  toy.trainer->add(std::make_unique<BestFile>(folder / "best.safetensors", [] {
    return Notes{{"recipe", "toy"}};
  }));
  toy.trainer->add(std::make_unique<Heard>(heard));
  toy.run();
  EXPECT_THAT(heard.texts, ElementsAre("1: 5 best", "2: 2 best", "3: 2", "4: 3", "5: 2", "6: 4"));
  const ModelFile best = load_model(folder / "best.safetensors");
  EXPECT_EQ(best.notes.at("recipe"), "toy");
  EXPECT_EQ(best.notes.at(kValidationNote), "2 2 0 " + data.fingerprint());
  ToyRun other({.seed = 5});
  other.parameters->load(best.tensors);
  EXPECT_TRUE(same_bits(other.parameters->values(), heard.weights[1]));
}

TEST(Validation, ComparesNothingBeforeTheStepThatItIsToldTo) {
  const SequenceDataset data = test::toy_data();
  std::size_t next = 0;
  ToyRun toy({.training = {.epochs = 2}}, scripted({1, 1, 1, 5, 4, 6}, next));
  Heard::Kept heard;
  toy.trainer->add(std::make_unique<Validation>(
      data, Validation::Options{.every_steps = 1, .patience = 2, .best_from = 4}));
  toy.trainer->add(std::make_unique<Heard>(heard));
  toy.run();
  EXPECT_THAT(heard.texts, ElementsAre("1: 1", "2: 1", "3: 1", "4: 5 best", "5: 4 best", "6: 6"));
  EXPECT_EQ(toy.trainer->options().best->step, 5);
}

TEST(Validation, KeepsNothingOfARunThatEndsBeforeItCompares) {
  const SequenceDataset data = test::toy_data();
  std::size_t next = 0;
  ToyRun toy({.training = {.epochs = 1}}, scripted({3, 2, 1}, next));
  toy.trainer->add(
      std::make_unique<Validation>(data, Validation::Options{.every_steps = 1, .best_from = 4}));
  toy.run();
  EXPECT_FALSE(toy.trainer->options().best->defined());
}

TEST(Validation, EndsARunWhosePatienceIsOver) {
  const SequenceDataset data = test::toy_data();
  std::size_t next = 0;
  ToyRun toy({.training = {.epochs = 9}}, scripted({5, 4, 6, 3, 3, 3, 9}, next));
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
  const auto run = [&](ToyRun& toy, const std::filesystem::path& folder, std::int64_t until,
                       std::vector<std::string>& texts) {
    Heard::Kept heard;
    toy.trainer->add(
        std::make_unique<Validation>(data, Validation::Options{.every_steps = 2, .patience = 3}));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder));
    toy.trainer->add(std::make_unique<BestFile>(folder / "best.safetensors"));
    toy.trainer->add(std::make_unique<Heard>(heard));
    test::stop_after(toy, until);
    texts.insert(texts.end(), heard.texts.begin(), heard.texts.end());
    return toy.trainer->state().step;
  };
  for (const std::int64_t checkpoint_every : {1, 3, 5}) {
    const test::ToyOptions options = {
        .training = {.epochs = 9, .checkpoint_every = checkpoint_every}};
    const ScratchFolder whole;
    std::size_t next = 0;
    std::vector<std::string> expected;
    ToyRun unbroken(options, scripted(losses, next));
    EXPECT_EQ(run(unbroken, whole.path(), -1, expected), 14);
    for (const std::int64_t broken_at : {1, 4, 8, 9, 13}) {
      const ScratchFolder folder;
      std::vector<std::string> texts;
      next = 0;
      {
        ToyRun first(options, scripted(losses, next));
        run(first, folder.path(), broken_at, texts);
      }
      ToyRun second = test::from_checkpoint(options, folder.path(), scripted(losses, next));
      EXPECT_EQ(run(second, folder.path(), -1, texts), 14);
      EXPECT_EQ(texts, expected) << broken_at;
      for (const char* file : {"best.safetensors", "step_000000000014.safetensors"}) {
        EXPECT_TRUE(read_file(folder / file) == read_file(whole / file)) << file;
      }
    }
  }
}

TEST(Validation, ThatIsNotFiniteSaysThatTheRunDiverged) {
  const SequenceDataset data = test::toy_data();
  std::size_t next = 0;
  ToyRun toy({}, scripted({5, test::kNaN, test::kNaN}, next));
  toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = 1}));
  EXPECT_THROW(
      {
        try {
          toy.run();
        } catch (const Error& error) {
          EXPECT_STREQ(error.what(),
                       "[validation] step 2: batch 0: the loss is nan: a smaller learning rate "
                       "may help");
          throw;
        }
      },
      Diverged);
}

TEST(Validation, IsMadeAtTheEndOfARunThatSomethingElseEnds) {
  const SequenceDataset data = test::toy_data();
  std::size_t next = 0;
  ToyRun toy({.training = {.epochs = 9}}, scripted({5, 4}, next));
  struct EndsAtSix : Callback {
    void on_step(const Trainer&, const StepInfo& step) override { ends = step.step == 5; }
    bool wants_to_stop() const override { return ends; }
    bool ends = false;
  };
  Heard::Kept heard;
  toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = 4}));
  toy.trainer->add(std::make_unique<EndsAtSix>());
  toy.trainer->add(std::make_unique<Heard>(heard));
  toy.run();
  EXPECT_THAT(heard.texts, ElementsAre("4: 5 best", "6: 4 best"));
}

TEST(Validation, ThatOnlyTheEndOfARunMakesDoesNotTryPatience) {
  const SequenceDataset data = test::toy_data();
  for (const std::int64_t steps : {5, 6}) {
    std::size_t next = 0;
    ToyRun toy({.training = {.epochs = 9, .max_steps = steps}}, scripted({5, 6, 6}, next));
    toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = 2}));
    toy.run();
    EXPECT_EQ(next, 3U);
    EXPECT_EQ(toy.best.since, steps == 5 ? 1 : 2);
  }
}

TEST(Validation, SaysThatALongerRunReplacesTheWeightsOfItsEnd) {
  const SequenceDataset data = test::toy_data();
  const ScratchFolder folder;
  std::vector<std::string> warnings;
  std::size_t next = 0;
  const auto train = [&](ToyRun& toy) {
    const auto warn = [&](const std::string& text) { warnings.push_back(text); };
    toy.trainer->add(
        std::make_unique<Validation>(data, Validation::Options{.every_steps = 2, .warn = warn}));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
    toy.run();
  };
  const auto lasting = [](std::int64_t steps) {
    return test::ToyOptions{.training = {.epochs = 9, .max_steps = steps}};
  };
  ToyRun first(lasting(3), scripted({5, 4}, next));
  train(first);
  ToyRun same = test::from_checkpoint(lasting(3), folder.path(), scripted({}, next));
  train(same);
  EXPECT_THAT(warnings, ::testing::IsEmpty());
  ToyRun longer = test::from_checkpoint(lasting(4), folder.path(), scripted({5, 4, 6}, next));
  train(longer);
  EXPECT_THAT(warnings, ::testing::ElementsAre(
                            "the best weights are those of step 3, where the run ended before; a "
                            "run that is this long from the start does not validate there, so the "
                            "next validation begins without them"));
  EXPECT_EQ(longer.best.loss, 5);
}

// A run that ended is made longer: it must stop, and keep, as one that was so long from the start.
TEST(Validation, ThatOnlyTheEndOfARunMakesChangesNothingForOneThatGoesOn) {
  const SequenceDataset data = test::toy_data();
  const auto train = [&](ToyRun& toy, const ScratchFolder& folder) {
    toy.trainer->add(
        std::make_unique<Validation>(data, Validation::Options{.every_steps = 2, .patience = 3}));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
    toy.trainer->add(std::make_unique<BestFile>(folder / "best.safetensors"));
    toy.run();
  };
  const std::vector<double> regular = {5, 6, 6, 7, 1};
  const test::ToyOptions long_run = {.training = {.epochs = 9}};
  const ScratchFolder whole;
  std::size_t next = 0;
  ToyRun unbroken(long_run, scripted(regular, next));
  train(unbroken, whole);
  EXPECT_EQ(unbroken.trainer->state().step, 8) << "patience is over";
  for (const double at_end : {4.9, 5.0, 9.0}) {
    for (const std::int64_t steps : {1, 3, 5, 7}) {
      const ScratchFolder folder;
      std::vector<double> losses = regular;
      losses.insert(losses.begin() + steps / 2, at_end);
      next = 0;
      {
        ToyRun first({.training = {.epochs = 9, .max_steps = steps}}, scripted(losses, next));
        train(first, folder);
        EXPECT_EQ(first.best.at_end, steps == 1 || at_end < 5) << "the best is what did best";
        EXPECT_EQ(load_model(folder / "best.safetensors").notes.at(kValidationNote),
                  fmt::format("{} {} {} {}", first.best.at_end ? steps : 2,
                              first.best.at_end ? at_end : 5, first.best.at_end ? "end" : "0",
                              data.fingerprint()));
      }
      ToyRun second = test::from_checkpoint(long_run, folder.path(), scripted(losses, next));
      train(second, folder);
      EXPECT_EQ(second.trainer->state().step, 8) << at_end << " at " << steps;
      for (const char* file : {"best.safetensors", "step_000000000008.safetensors"}) {
        EXPECT_TRUE(read_file(folder / file) == read_file(whole / file)) << file << " " << steps;
      }
    }
  }
}

TEST(Validation, AtTheEndsOfARunKeepsTheBetter) {
  const SequenceDataset data = test::toy_data();
  for (const double second : {4.0, 6.0}) {
    std::size_t next = 0;
    ToyRun toy({.training = {.epochs = 9, .max_steps = 5}}, scripted({5, second}, next));
    const ScratchFolder folder;
    toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{.every_steps = 100}));
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
    toy.run();
    ToyRun longer = test::from_checkpoint({.training = {.epochs = 9, .max_steps = 7}},
                                          folder.path(), scripted({5, second}, next));
    longer.trainer->add(
        std::make_unique<Validation>(data, Validation::Options{.every_steps = 100}));
    longer.run();
    EXPECT_TRUE(longer.best.at_end);
    EXPECT_EQ(longer.best.loss, std::min(5.0, second));
  }
}

TEST(Validation, SaysAtTheStartThatPatienceIsOver) {
  const SequenceDataset data = test::toy_data();
  std::size_t next = 0;
  std::vector<std::string> warnings;
  ToyRun toy({.training = {.epochs = 9}}, scripted({5, 6, 6}, next));
  toy.trainer->add(std::make_unique<Validation>(
      data,
      Validation::Options{.patience = 2, .warn = [&](auto& text) { warnings.push_back(text); }}));
  toy.run();
  EXPECT_THAT(warnings, ::testing::IsEmpty());
  toy.run();
  EXPECT_THAT(warnings, ElementsAre("nothing beat the best validation 2 times: a larger patience "
                                    "goes on"));
  EXPECT_EQ(toy.trainer->state().step, 9);
}

TEST(Validation, TakesTheAverageWhereThereIsOne) {
  const ScratchFolder folder;
  const SequenceDataset data = test::toy_data();
  ToyRun toy({.training = {.lr = 0.1}, .ema = 0.5});
  Heard::Kept heard;
  toy.trainer->add(std::make_unique<Validation>(data, Validation::Options{}));
  toy.trainer->add(std::make_unique<BestFile>(folder / "best.safetensors"));
  toy.trainer->add(std::make_unique<Heard>(heard));
  toy.run();
  EXPECT_TRUE(same_bits(heard.weights.back(), toy.average->values()));
  const WithAverage with_average(toy.average.get(), *toy.parameters);
  EXPECT_EQ(heard.losses.back(), evaluate(toy.trainer->model(), data, 100).front().mean());
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
  const auto making = [&](const Dataset& of, Validation::Options options) {
    return error_of([&] { Validation(of, std::move(options)); });
  };
  EXPECT_EQ(making(none, {}), "[validation] there are no samples");
  EXPECT_EQ(making(data, {.every_steps = -1}),
            "[validation] every_steps must be at least 0, not -1");
  EXPECT_EQ(making(data, {.batch_size = 0}), "[validation] batch_size must be at least 1, not 0");
  EXPECT_EQ(making(data, {.patience = -2}), "[validation] patience must be at least 0, not -2");
  ToyRun toy({});
  DataLoader loader(data, {.batch_size = 4});
  Trainer without(toy.trainer->model(), *toy.parameters, *toy.optimizer, loader, {});
  without.add(std::make_unique<Validation>(data, Validation::Options{}));
  EXPECT_EQ(error_of([&] { without.run(false); }),
            "[validation] the trainer has no Options::best to keep weights in");
}

TEST(Validation, KnowsItsOwnNotesOnly) {
  const auto reading = [](const std::string& note) {
    return error_of([&] { BestWeights::from_note(note, 12, "FILE"); });
  };
  for (const char* note : {"", "1 2", "1 2 3", "1 nan 0 d", "-1 2.5 0 d", "a b c d", "1 2.5 -1 d",
                           "12.5 3 d", "13 0.5 0 d", "10 0.5 3 d", "1 0.5 9223372036854775807 d"}) {
    EXPECT_THAT(reading(note), HasSubstr("is not one of validation after 12 steps")) << note;
  }
  BestWeights best = BestWeights::from_note("9 0.5 3 ten samples", 12, "FILE");
  EXPECT_EQ(best.step, 9);
  EXPECT_EQ(best.loss, 0.5);
  EXPECT_EQ(best.since, 3);
  EXPECT_EQ(best.data, "ten samples");
  EXPECT_EQ(best.note(), "9 0.5 3 ten samples");
}

}  // namespace
}  // namespace maskgrad
