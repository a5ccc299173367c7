// A whole training run of a model that learns in milliseconds.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad::test {

/// Ten sequences of three tokens 0..4; the target is the largest of them.
SequenceDataset toy_data();

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

  explicit ToyRun(ToyOptions options, ToyModel model = {}, const Prepare& prepare = {});

  ModelOutput evaluate(const Batch& batch);

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
ToyRun from_checkpoint(ToyOptions options, const std::filesystem::path& folder,
                       ToyModel model = {});

/// Trains until so many steps are done in all, as if the run was asked to stop then.
Trainer::Outcome stop_after(ToyRun& toy, std::int64_t steps);

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

  void on_start(const Trainer&) override;
  void on_step(const Trainer&, const StepInfo& step) override;
  void on_epoch(const Trainer&, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override;
  void on_interrupt(const Trainer& trainer) override;
  void on_checkpoint(const Trainer& trainer) override;

 private:
  Kept& kept_;
  std::function<void(const StepInfo&)> at_step_;
};

}  // namespace maskgrad::test
