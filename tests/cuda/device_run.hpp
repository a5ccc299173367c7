// A model with data and all that trains it, on either device.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// What a run trains: a model with its loss.
struct TrainedModel : Module {
  virtual ModelOutput evaluate(const Batch& batch, Pass& pass) = 0;
};

/// How it is trained.
struct Way {
  const char* name;
  DType dtype = DType::kFloat32;
  bool sgd = false;
  std::int64_t micro_batches = 1;
  double clip_norm = 0;
  double ema = 0;
  std::int64_t validate_every = 9;  // steps
};

/// A run of a Model, made by default, on Dataset `data`, which outlives it. Batches of 4 samples.
struct DeviceRun {
  std::unique_ptr<TrainedModel> model;
  ParameterBuffer parameters;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<WeightAverage> average;
  BestWeights best;
  std::unique_ptr<DataLoader> loader;
  std::unique_ptr<Trainer> trainer;

  /// Goes on from a checkpoint where there is one.
  DeviceRun(std::unique_ptr<TrainedModel> trained, const Dataset& data, Device device,
            const Way& way, std::int64_t steps, const std::filesystem::path& checkpoint = {})
      : model(std::move(trained)),
        parameters(*model, way.dtype, checkpoint.empty() ? 3 : 99, device) {
    if (way.sgd) {
      optimizer = std::make_unique<Sgd>(parameters, 0.9);
    } else {
      optimizer = std::make_unique<Adam>(parameters);
    }
    if (way.ema > 0) average = std::make_unique<WeightAverage>(parameters, way.ema);
    TrainState state;
    if (!checkpoint.empty()) {
      state = load_checkpoint(checkpoint, parameters, *optimizer, average.get(), &best).state;
    }
    loader = std::make_unique<DataLoader>(
        data, DataLoader::Options{.batch_size = 4, .shuffle = true, .seed = 7}, state.position);
    trainer = std::make_unique<Trainer>(
        [this](const Batch& batch, Pass& pass) { return model->evaluate(batch, pass); }, parameters,
        *optimizer, *loader,
        Trainer::Options{.lr = 0.05,
                         .clip_norm = way.clip_norm,
                         .average = average.get(),
                         .best = &best,
                         .micro_batches = way.micro_batches,
                         .epochs = 0,
                         .max_steps = steps},
        state);
    trainer->add(
        std::make_unique<Validation>(data, Validation::Options{.every_steps = way.validate_every}));
  }

  DeviceRun& run() {
    trainer->run(false);
    return *this;
  }

  void save(const std::filesystem::path& file) {
    save_checkpoint(file, trainer->state(), parameters, *optimizer, {}, average.get(), &best);
  }
  /// All that a checkpoint saves, on the host.
  std::vector<Tensor> all() {
    std::vector<Tensor> all = {parameters.values().to(Device{}), best.values.to(Device{})};
    for (const auto& [name, flat] : optimizer->state()) all.push_back(flat.to(Device{}));
    if (average) all.push_back(average->values().to(Device{}));
    return all;
  }
};

inline void expect_same(DeviceRun& got_run, DeviceRun& wanted_run) {
  const auto got = got_run.all(), wanted = wanted_run.all();
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], wanted[i])) << i;
  EXPECT_EQ(got_run.best.step, wanted_run.best.step);
}

}  // namespace maskgrad::test
