// A whole training run of a model that learns in milliseconds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad::test {

/// Ten sequences of three tokens 0..4; the target is the largest of them.
inline SequenceDataset toy_data() {
  SequenceDataset dataset(3);
  Random random(11);
  for (int i = 0; i < 10; ++i) {
    std::vector<std::int64_t> tokens(3);
    for (auto& token : tokens) token = random.integer(0, 4);
    dataset.add(tokens, *std::max_element(tokens.begin(), tokens.end()));
  }
  return dataset;
}

struct ToyOptions {
  Trainer::Options training = {.lr = 0.01};
  bool shuffle = false;
  DType dtype = DType::kFloat64;
  bool sgd = false;
  std::uint64_t seed = 1;  // of the starting weights
  std::int64_t width = 5;
  double ema = 0;  // decay of an average of the weights; 0: none
};

class ToyRun;
/// A model that may use the layers of the run that it is trained in.
using ToyModel = std::function<ModelOutput(ToyRun&, const Batch&, Pass&)>;

/// Data, model, optimizer, loader and trainer, in an order that lets one refer to the others.
/// Batches of 4, 4 and 2.
class ToyRun {
 public:
  /// `prepare` may load a checkpoint into the run, which has no loader and no trainer yet; it
  /// returns where to go on.
  using Prepare = std::function<TrainState(ToyRun&)>;

  explicit ToyRun(ToyOptions options, ToyModel model = {}, const Prepare& prepare = {})
      : data(toy_data()) {
    layers.add<Embed>("embed", 5, 4)
        .add<Reshape>("reshape", std::vector<std::int64_t>{12})
        .add<Dense>("dense", 12, options.width);
    parameters = std::make_unique<ParameterBuffer>(layers, options.dtype, options.seed);
    if (options.sgd)
      optimizer = std::make_unique<Sgd>(*parameters, 0.9);
    else
      optimizer = std::make_unique<Adam>(*parameters);
    if (options.ema > 0) average = std::make_unique<WeightAverage>(*parameters, options.ema);
    options.training.average = average.get();
    options.training.best = &best;
    const TrainState state = prepare ? prepare(*this) : TrainState{};
    loader = std::make_unique<DataLoader>(
        data, DataLoader::Options{.batch_size = 4, .shuffle = options.shuffle, .seed = 7},
        state.position);
    if (!model) model = [](ToyRun& run, const Batch& batch, Pass&) { return run.evaluate(batch); };
    trainer = std::make_unique<Trainer>(
        [this, model](const Batch& batch, Pass& pass) { return model(*this, batch, pass); },
        *parameters, *optimizer, *loader, options.training, state);
  }

  ModelOutput evaluate(const Batch& batch) {
    const Variable logits = layers(Variable(batch.inputs));
    const ops::HitsCount right = ops::accuracy(logits, batch.targets);
    return {ops::cross_entropy(logits, batch.targets),
            {{"accuracy", static_cast<double>(right.hits), right.count}}};
  }

  ToyRun(const ToyRun&) = delete;
  ToyRun& operator=(const ToyRun&) = delete;

  Trainer::Outcome run(const std::atomic<bool>& stop = false) { return trainer->run(stop); }

  SequenceDataset data;
  Sequential layers;
  std::unique_ptr<ParameterBuffer> parameters;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<WeightAverage> average;
  BestWeights best;
  std::unique_ptr<DataLoader> loader;
  std::unique_ptr<Trainer> trainer;
};

/// A run that knows nothing but a folder's newest checkpoint: it starts from other weights.
inline ToyRun from_checkpoint(ToyOptions options, const std::filesystem::path& folder,
                              ToyModel model = {}) {
  options.seed += 99;
  return ToyRun(options, std::move(model), [&](ToyRun& run) {
    return load_checkpoint(latest_checkpoint(folder).value(), *run.parameters, *run.optimizer,
                           run.average.get(), &run.best)
        .state;
  });
}

/// Trains until so many steps are done in all, as if the run was asked to stop then.
inline Trainer::Outcome stop_after(ToyRun& toy, std::int64_t steps) {
  struct Stop : Callback {
    void on_step(const Trainer&, const StepInfo& step) override {
      if (step.step + 1 == at) *stop = true;
    }
    std::int64_t at = 0;
    std::shared_ptr<std::atomic<bool>> stop = std::make_shared<std::atomic<bool>>(false);
  };
  auto watch = std::make_unique<Stop>();
  watch->at = steps;
  const auto stop = watch->stop;
  toy.trainer->add(std::move(watch));
  return toy.run(*stop);
}

/// Notes losses and epochs for the test, and may do something at each step.
class Notes : public Callback {
 public:
  struct Kept {
    std::vector<double> losses;
    std::vector<std::string> events;  // "start", "step 0", "epoch 1 at 3", "interrupt at 2", ...
    std::vector<double> epoch_losses;
  };

  explicit Notes(Kept& kept, std::function<void(const StepInfo&)> at_step = {})
      : kept_(kept), at_step_(std::move(at_step)) {}

  void on_start(const Trainer&) override { kept_.events.push_back("start"); }
  void on_step(const Trainer&, const StepInfo& step) override {
    kept_.losses.push_back(step.loss);
    kept_.events.push_back(fmt::format("step {}", step.step));
    if (at_step_) at_step_(step);
  }
  void on_epoch(const Trainer&, const EpochInfo& epoch) override {
    kept_.events.push_back(fmt::format("epoch {} at {}", epoch.epoch, epoch.steps));
    kept_.epoch_losses.push_back(epoch.totals.front().mean());
  }
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override {
    kept_.events.push_back(
        fmt::format("end at {}, {} into epoch {}", part.steps, part.batches, part.epoch));
  }
  void on_interrupt(const Trainer& trainer) override {
    kept_.events.push_back(fmt::format("interrupt at {}", trainer.state().step));
  }
  void on_checkpoint(const Trainer& trainer) override {
    kept_.events.push_back(fmt::format("checkpoint at {}", trainer.state().step));
  }

 private:
  Kept& kept_;
  std::function<void(const StepInfo&)> at_step_;
};

}  // namespace maskgrad::test
