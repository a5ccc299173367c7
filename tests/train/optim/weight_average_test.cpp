// The average of the weights: its formula, its files, and that it changes nothing else.
#include <gmock/gmock.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/optim/weight_average.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::same_bits;
using test::to_doubles;
using test::ToyOptions;
using test::ToyRun;

// A trainer beside the toy's own, with an average.
struct Averaged {
  using Prepare = std::function<TrainState(ParameterBuffer&, Optimizer&, WeightAverage&)>;

  explicit Averaged(ToyOptions options, double decay = 0.75, const Prepare& prepare = {})
      : toy(options), average(*toy.parameters, decay) {
    TrainState state;
    if (prepare) state = prepare(*toy.parameters, *toy.optimizer, average);
    options.training.average = &average;
    loader = std::make_unique<DataLoader>(
        toy.data, DataLoader::Options{.batch_size = 4, .shuffle = options.shuffle, .seed = 7},
        state.position);
    trainer = std::make_unique<Trainer>(
        [this](const Batch& batch, Pass&) { return toy.evaluate(batch); }, *toy.parameters,
        *toy.optimizer, *loader, options.training, state);
  }
  ToyRun toy;
  WeightAverage average;
  std::unique_ptr<DataLoader> loader;
  std::unique_ptr<Trainer> trainer;
};

TEST(WeightAverage, FollowsTheWeightsOfEachStep) {
  for (const DType dtype : test::kFloatingDTypes) {
    Averaged run({.dtype = dtype});
    std::vector<double> expected = to_doubles(run.toy.parameters->values());
    EXPECT_EQ(to_doubles(run.average.values()), expected) << "it begins with them";
    for (int step = 0; step < 9; ++step) {
      run.trainer->step(run.loader->next());
      const std::vector<double> weights = to_doubles(run.toy.parameters->values());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] = 0.75 * expected[i] + 0.25 * weights[i];
      }
    }
    EXPECT_TRUE(
        test::is_close(run.average.values(), expected, dtype == DType::kFloat64 ? 1e-14 : 1e-6));
  }
}

TEST(WeightAverage, ChangesNoBitOfTheTraining) {
  Averaged run({.training = {.epochs = 2}});
  ToyRun plain({.training = {.epochs = 2}});
  run.trainer->run(false);
  plain.run();
  EXPECT_TRUE(same_bits(run.toy.parameters->values(), plain.parameters->values()));
  EXPECT_FALSE(same_bits(run.average.values(), plain.parameters->values()));
}

TEST(WeightAverage, StandsInForTheWeightsForAWhile) {
  Averaged run({});
  run.trainer->run(false);
  const Tensor weights = run.toy.parameters->values().clone(),
               average = run.average.values().clone();
  {
    const WithAverage with_average(&run.average, *run.toy.parameters);
    EXPECT_TRUE(same_bits(run.toy.parameters->values(), average));
    EXPECT_TRUE(same_bits(run.toy.parameters->named_values().at("dense.bias"),
                          run.toy.parameters->entries().back().parameter->variable().value()));
  }
  EXPECT_TRUE(same_bits(run.toy.parameters->values(), weights));
  EXPECT_TRUE(same_bits(run.average.values(), average));
  const WithAverage none(nullptr, *run.toy.parameters);
  EXPECT_TRUE(same_bits(run.toy.parameters->values(), weights));
}

TEST(WeightAverage, IsGoneOnWithBitForBit) {
  const ToyOptions options = {.training = {.epochs = 3, .checkpoint_every = 2},
                              .dtype = DType::kFloat32};
  const test::ScratchFolder whole, broken;
  Averaged unbroken(options);
  unbroken.trainer->add(std::make_unique<CheckpointCallback>(whole.path()));
  unbroken.trainer->run(false);
  {
    Averaged first(options);
    test::Notes::Kept ignored;
    std::atomic<bool> stop = false;
    first.trainer->add(
        std::make_unique<test::Notes>(ignored, [&](auto& step) { stop = step.step == 3; }));
    first.trainer->add(std::make_unique<CheckpointCallback>(broken.path()));
    first.trainer->run(stop);
  }
  Averaged second(options, 0.75, [&](ParameterBuffer& p, Optimizer& o, WeightAverage& average) {
    return load_checkpoint(latest_checkpoint(broken.path()).value(), p, o, &average).state;
  });
  EXPECT_EQ(second.trainer->state().step, 4);
  second.trainer->add(std::make_unique<CheckpointCallback>(broken.path()));
  second.trainer->run(false);
  EXPECT_TRUE(same_bits(second.average.values(), unbroken.average.values()));
  const char* const last = "step_000000000009.safetensors";
  EXPECT_TRUE(read_file(broken / last) == read_file(whole / last));
}

TEST(WeightAverage, IsMissedInACheckpointWithoutOne) {
  const test::ScratchFolder folder;
  const std::filesystem::path file = folder / "step_000000000000.safetensors";
  ToyRun toy({});
  save_checkpoint(file, {}, *toy.parameters, *toy.optimizer);
  WeightAverage average(*toy.parameters, 0.5);
  EXPECT_THAT(error_of([&] { load_checkpoint(file, *toy.parameters, *toy.optimizer, &average); }),
              ::testing::EndsWith("has no tensor 'ema/embed.weight'"));
  save_checkpoint(file, {}, *toy.parameters, *toy.optimizer, {}, &average);
  EXPECT_THAT(error_of([&] { load_checkpoint(file, *toy.parameters, *toy.optimizer); }),
              ::testing::EndsWith("holds 'ema/dense.bias', which the run does not have"));
}

TEST(WeightAverage, NeedsADecayBetweenZeroAndOne) {
  const ToyRun toy({});
  for (const double decay : {0.0, 1.0, -0.5, test::kNaN}) {
    EXPECT_EQ(error_of([&] { WeightAverage(*toy.parameters, decay); }),
              fmt::format("[ema] must be 0, for none, or a decay between 0 and 1, not {}", decay));
  }
}

}  // namespace
}  // namespace maskgrad
