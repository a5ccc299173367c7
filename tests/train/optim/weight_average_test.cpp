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

TEST(WeightAverage, FollowsTheWeightsOfEachStep) {
  for (const DType dtype : test::kFloatingDTypes) {
    ToyRun run({.dtype = dtype});
    WeightAverage average(*run.parameters, 0.75);
    std::vector<double> expected = to_doubles(run.parameters->values());
    EXPECT_EQ(to_doubles(average.values()), expected) << "it begins with them";
    for (int step = 0; step < 40; ++step) {
      run.trainer->step(run.loader->next());
      average.update(*run.parameters, step);
      const std::vector<double> weights = to_doubles(run.parameters->values());
      const double decay = step < 26 ? (1.0 + step) / (10.0 + step) : 0.75;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] = decay * expected[i] + (1 - decay) * weights[i];
      }
    }
    EXPECT_TRUE(
        test::is_close(average.values(), expected, dtype == DType::kFloat64 ? 1e-14 : 1e-6));
  }
}

TEST(WeightAverage, OfAShortRunHoldsLittleOfTheFirstWeights) {
  const ToyRun run({});
  ParameterBuffer& parameters = *run.parameters;
  parameters.values().fill(1.0);
  WeightAverage average(parameters, 0.999);
  parameters.values().fill(0.0);
  for (int step = 0; step < 100; ++step) average.update(parameters, step);
  for (const double left : to_doubles(average.values())) EXPECT_LT(left, 1e-9);
}

TEST(WeightAverage, ChangesNoBitOfTheTraining) {
  ToyRun run({.training = {.epochs = 2}, .ema = 0.75});
  ToyRun plain({.training = {.epochs = 2}});
  run.run();
  plain.run();
  EXPECT_TRUE(same_bits(run.parameters->values(), plain.parameters->values()));
  EXPECT_FALSE(same_bits(run.average->values(), plain.parameters->values()));
}

TEST(WeightAverage, StandsInForTheWeightsForAWhile) {
  ToyRun run({.ema = 0.75});
  run.run();
  const Tensor weights = run.parameters->values().clone(), average = run.average->values().clone();
  {
    const WithAverage with_average(run.average.get(), *run.parameters);
    EXPECT_TRUE(same_bits(run.parameters->values(), average));
    EXPECT_TRUE(same_bits(run.parameters->named_values().at("dense.bias"),
                          run.parameters->entries().back().parameter->variable().value()));
  }
  EXPECT_TRUE(same_bits(run.parameters->values(), weights));
  EXPECT_TRUE(same_bits(run.average->values(), average));
  const WithAverage none(nullptr, *run.parameters);
  EXPECT_TRUE(same_bits(run.parameters->values(), weights));
}

TEST(WeightAverage, IsGoneOnWithBitForBit) {
  const ToyOptions options = {
      .training = {.epochs = 3, .checkpoint_every = 2}, .dtype = DType::kFloat32, .ema = 0.75};
  const test::ScratchFolder whole, broken;
  ToyRun unbroken(options);
  unbroken.trainer->add(std::make_unique<CheckpointCallback>(whole.path()));
  unbroken.run();
  {
    ToyRun first(options);
    first.trainer->add(std::make_unique<CheckpointCallback>(broken.path()));
    test::stop_after(first, 4);
  }
  ToyRun second = test::from_checkpoint(options, broken.path());
  EXPECT_EQ(second.trainer->state().step, 4);
  second.trainer->add(std::make_unique<CheckpointCallback>(broken.path()));
  second.run();
  EXPECT_TRUE(same_bits(second.average->values(), unbroken.average->values()));
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

TEST(WeightAverage, RefusesTheWeightsOfAnotherModel) {
  ToyRun toy({}), wider({.width = 9}), single({.dtype = DType::kFloat32});
  WeightAverage average(*toy.parameters, 0.5);
  for (ToyRun* other : {&wider, &single}) {
    const Tensor before = other->parameters->values().clone();
    for (const auto& use : {std::function<void()>([&] { average.update(*other->parameters, 0); }),
                            std::function<void()>([&] { average.swap(*other->parameters); })}) {
      EXPECT_THAT(error_of(use), ::testing::StartsWith("[ema] was made for parameters float64 ("));
    }
    EXPECT_TRUE(test::same_bits(other->parameters->values(), before));
  }
}

TEST(WeightAverage, NeedsADecayBetweenZeroAndOne) {
  const ToyRun toy({});
  for (const double decay : {0.0, 1.0, -0.5, test::kNaN}) {
    EXPECT_EQ(error_of([&] { WeightAverage(*toy.parameters, decay); }),
              fmt::format("[ema] the decay must be above 0 and below 1, not {}", decay));
  }
}

}  // namespace
}  // namespace maskgrad
