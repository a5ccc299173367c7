// A program of one's own, which trains the toy model in a folder.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/train/run/train_in_folder.hpp>

#include "train/toy_run.hpp"

namespace maskgrad::test {

// What a callback of the program's own may do at a step.
class AtStep : public Callback {
 public:
  explicit AtStep(std::function<void(const StepInfo&)> f) : f_(std::move(f)) {}
  void on_step(const Trainer&, const StepInfo& step) override { f_(step); }

 private:
  std::function<void(const StepInfo&)> f_;
};

// A program that trains the toy model: batches of 4, 4 and 2, three steps an epoch.
struct Program {
  explicit Program(const std::filesystem::path& folder) {
    layers.add<Embed>("embed", 5, 4)
        .add<Reshape>("reshape", std::vector<std::int64_t>{12})
        .add<Dense>("dense", 12, 5);
    options.folder = folder;
    options.batch_size = 4;
    options.epochs = 3;
    options.lr = 0.01;
    options.tensorboard = false;
    options.warn = [this](const std::string& text) { warnings.push_back(text); };
    options.stop = &stop;
  }

  RunEnd run(std::vector<std::unique_ptr<Callback>> callbacks = {}) {
    const auto model = [this](const Batch& batch, Pass& pass) -> ModelOutput {
      return ops::cross_entropy(layers(Variable(batch.inputs), pass), batch.targets);
    };
    callbacks.push_back(std::make_unique<AtStep>([this](const StepInfo& step) {
      losses.push_back(step.loss);
      if (step.step + 1 == stop_after) stop = true;
    }));
    return train_in_folder(layers, model, data, options, std::move(callbacks));
  }
  RunEnd go_on() {
    options.resume = true;
    return run();
  }

  Sequential layers;
  SequenceDataset data = toy_data();
  TrainingOptions options;
  std::atomic<bool> stop = false;
  std::int64_t stop_after = -1;
  std::vector<double> losses;
  std::vector<std::string> warnings;
};

// Wrong answers: the better the model learns the toy data, the worse it does on these.
inline SequenceDataset wrong_answers() {
  SequenceDataset wrong(3);
  const SequenceDataset toy = toy_data();
  for (std::int64_t i = 0; i < toy.size(); ++i) {
    const Batch sample = toy.collate({&i, 1});
    wrong.add(sample.inputs.values<std::int64_t>(), 4 - sample.targets.data<std::int64_t>()[0]);
  }
  return wrong;
}

}  // namespace maskgrad::test
