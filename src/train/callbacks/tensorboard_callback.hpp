// A run's curves and histograms for TensorBoard.
#pragma once

#include <memory>

#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Writes at the end of each epoch and of the run, under the number of steps done. It writes the
/// scalars "epoch/<metric>" and "epoch/learning_rate" and the histograms "weights/<parameter>" and
/// "gradients/<parameter>". Learning rate and gradients are those of the last step. After an
/// evaluation it writes the scalars "validation/<metric>". Each process that trains a run adds an
/// event file of its own to the folder. Where the run goes on, that file first says which steps of
/// earlier files are void. Throws as EventWriter. on_start() makes the folder.
class TensorBoardCallback : public Callback {
 public:
  explicit TensorBoardCallback(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void on_start(const Trainer& trainer) override;
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_evaluation(const Trainer& trainer, const EvaluationInfo& evaluation) override;
  void on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) override {
    on_epoch(trainer, part);
  }

 private:
  void write_histograms(const ParameterBuffer& parameters, const char* prefix, const Tensor& flat,
                        std::int64_t step);

  std::filesystem::path folder_;
  std::unique_ptr<EventWriter> writer_;
};

}  // namespace maskgrad
