// A small model with all that trains it, and what a callback hears of the run, on either device.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>
#include <maskgrad/train/trainer.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad::test {

inline constexpr std::int64_t kVocabulary = 30, kFeatures = 6, kLength = 7, kSamples = 64,
                              kBatch = 4;
inline constexpr std::int64_t kStepsOfEpoch = kSamples / kBatch;

// Sequences of all lengths: what a batch keeps is another number each time.
inline const SequenceDataset& late_data() {
  static const SequenceDataset made = [] {
    SequenceDataset dataset(kLength);
    Random random(11);
    for (std::int64_t i = 0; i < kSamples; ++i) {
      std::vector<std::int64_t> tokens(static_cast<std::size_t>(random.integer(1, kLength)));
      for (auto& token : tokens) token = random.integer(1, kVocabulary - 1);
      dataset.add(tokens, 0);
    }
    return dataset;
  }();
  return made;
}

// Hears of a run.
struct Heard : Callback {
  std::vector<std::string> events;
  std::vector<double> numbers, rates;  // losses, rates and means; and the rates alone
  std::function<bool(std::int64_t)> needs = [](std::int64_t) { return false; };
  std::function<void(const Trainer&, const StepInfo&)> at_step = [](auto&, auto&) {};
  std::atomic<bool> stop = false;
  bool ends = false;

  void on_step(const Trainer& trainer, const StepInfo& step) override {
    events.push_back(fmt::format("step {} at {}", step.step, trainer.state().step));
    numbers.insert(numbers.end(), {step.loss, step.lr});
    rates.push_back(step.lr);
    at_step(trainer, step);
  }
  bool needs_step(std::int64_t steps) const override { return needs(steps); }
  void on_epoch(const Trainer&, const EpochInfo& epoch) override {
    events.push_back(fmt::format("epoch {} at {}", epoch.epoch, epoch.steps));
    for (const Metric& metric : epoch.totals) numbers.push_back(metric.mean());
  }
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override {
    events.push_back(fmt::format("end at {} of {}", part.steps, part.epoch));
    for (const Metric& metric : part.totals) numbers.push_back(metric.mean());
  }
  void on_interrupt(const Trainer& trainer) override {
    events.push_back(fmt::format("interrupt at {}", trainer.state().step));
  }
  void on_checkpoint(const Trainer& trainer) override {
    events.push_back(fmt::format("checkpoint at {}", trainer.state().step));
  }
  bool wants_to_stop() const override { return ends; }
};

struct Network : Module {
  Embed& embed = submodule("embed", std::make_unique<Embed>(kVocabulary, kFeatures));
  Dense& dense = submodule("dense", std::make_unique<Dense>(kFeatures, kVocabulary));
  Parameter& shift = parameter("shift", {kFeatures}, zeros());

  // Which token each token is.
  ModelOutput operator()(const Batch& batch, Pass& pass) {
    const SequenceMask exists = SequenceMask::from_tokens(batch.inputs, 0);
    const Variable x = embed(Variable(batch.inputs, Variable::kConstant, exists), pass);
    const Variable logits = dense(ops::add(x, shift), pass);
    return {ops::cross_entropy(logits, batch.inputs),
            {to_metric("accuracy", ops::accuracy(logits, batch.inputs)),
             to_metric("whole", ops::sequence_accuracy(logits, batch.inputs))}};
  }
};

struct LateOptions {
  Trainer::Options training = {.lr = 0.05, .epochs = 3};
  DType dtype = DType::kFloat32;
  bool sgd = false;
  double ema = 0.9;
};

using Output = std::function<ModelOutput(Network&, const Batch&, Pass&)>;

struct LateRun {
  Network network;
  ParameterBuffer parameters;
  std::unique_ptr<Optimizer> optimizer;
  WeightAverage average;
  DataLoader loader;
  std::unique_ptr<Trainer> trainer;
  Heard* heard;
  std::string error;

  LateRun(
      Device device, LateOptions options,
      Output output = [](Network& of, const Batch& batch, Pass& pass) { return of(batch, pass); })
      : parameters(network, options.dtype, 3, device),
        average(parameters, options.ema),
        loader(late_data(), {.batch_size = kBatch, .shuffle = true, .seed = 7}) {
    if (options.sgd) {
      optimizer = std::make_unique<Sgd>(parameters, 0.9);
    } else {
      optimizer = std::make_unique<Adam>(parameters);
    }
    options.training.average = &average;
    trainer = std::make_unique<Trainer>(
        [this, output](const Batch& batch, Pass& pass) { return output(network, batch, pass); },
        parameters, *optimizer, loader, options.training);
    auto callback = std::make_unique<Heard>();
    heard = callback.get();
    trainer->add(std::move(callback));
  }

  LateRun& operator()() {
    error = error_of([&] { trainer->run(heard->stop); });
    return *this;
  }
  std::vector<Tensor> flats() {
    std::vector<Tensor> all = {parameters.values().to(Device{}), average.values().to(Device{})};
    for (const auto& [name, flat] : optimizer->state()) all.push_back(flat.to(Device{}));
    return all;
  }
};

inline void expect_same(LateRun& got, LateRun& wanted) {
  EXPECT_EQ(got.error, wanted.error);
  EXPECT_THAT(got.heard->events, ::testing::ElementsAreArray(wanted.heard->events));
  EXPECT_THAT(got.heard->numbers, ::testing::ElementsAreArray(wanted.heard->numbers));
  EXPECT_EQ(got.trainer->state().step, wanted.trainer->state().step);
  EXPECT_EQ(got.optimizer->steps(), wanted.optimizer->steps());
  const auto flats = got.flats(), wanted_flats = wanted.flats();
  for (std::size_t i = 0; i < flats.size(); ++i) {
    EXPECT_TRUE(same_bits(flats[i], wanted_flats[i])) << i;
  }
}

}  // namespace maskgrad::test
