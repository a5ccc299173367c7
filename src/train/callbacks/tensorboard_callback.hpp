// A run's curves, histograms and graph for TensorBoard.
#pragma once

#include <functional>
#include <memory>

#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Writes at the end of each epoch and of the run, under the number of steps done. It writes the
/// scalars "epoch/<metric>" and "epoch/learning_rate" and the histograms "weights/<parameter>" and
/// "gradients/<parameter>". Learning rate and gradients are those of the last step. After an
/// evaluation it writes the scalars "validation/<metric>". Each process that trains a run adds an
/// event file of its own to the folder. Where the run goes on, that file first says which steps of
/// earlier files are void. The first file also holds the graph of the model, see graph_of(), where
/// the callback can look at a batch. Throws as EventWriter. on_start() makes the folder.
class TensorBoardCallback : public Callback {
 public:
  struct Options {
    /// Gives a batch to run the model on, without taking it from the run: DataLoader::peek().
    /// Without it there is no graph.
    std::function<Batch()> peek = {};
    /// Gets a line after the first step where the model could not be run for its graph.
    Warn warn = {};
  };

  explicit TensorBoardCallback(std::filesystem::path folder)
      : TensorBoardCallback(std::move(folder), Options{}) {}
  TensorBoardCallback(std::filesystem::path folder, Options options)
      : folder_(std::move(folder)), options_(std::move(options)) {}

  void on_start(const Trainer& trainer) override;
  void on_step(const Trainer&, const StepInfo&) override;
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_evaluation(const Trainer& trainer, const EvaluationInfo& evaluation) override;
  void on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) override {
    on_epoch(trainer, part);
  }

 private:
  void write_graph(const Trainer& trainer);
  void write_histograms(const ParameterBuffer& parameters, const char* prefix, const Tensor& flat,
                        std::int64_t step);

  std::filesystem::path folder_;
  Options options_;
  std::string no_graph_;  // why there is none, until it is told
  std::unique_ptr<EventWriter> writer_;
};

}  // namespace maskgrad
