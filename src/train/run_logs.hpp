// What a run writes down as it goes: one line a step, one line an epoch.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Appends `step,loss` (%.17g) for each step: the loss before that step's update. A run that goes
/// on keeps the lines of the steps before it, and drops those that it will do again.
class StepLog : public Callback {
 public:
  explicit StepLog(std::filesystem::path path) : path_(std::move(path)) {}

  void on_start(const Trainer& trainer) override;
  void on_step(const StepInfo& step) override;
  void on_epoch(const Trainer&, const EpochInfo&) override { file_->flush(); }
  void on_interrupt(const Trainer&) override { file_->flush(); }

 private:
  std::filesystem::path path_;
  std::unique_ptr<OutputFile> file_;
};

/// Keeps `epochs.csv`: epoch,steps,loss,...,seconds with the mean of each metric over the epoch's
/// samples. Rewritten whole at each epoch. A run that goes on keeps the lines of earlier epochs. A
/// part of an epoch gets no line: a run that ends within its first epoch leaves the header alone.
class EpochLog : public Callback {
 public:
  explicit EpochLog(std::filesystem::path path) : path_(std::move(path)) {}

  void on_start(const Trainer& trainer) override;
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override { write_with(part, ""); }

 private:
  void write_with(const EpochInfo& epoch, const std::string& row);

  std::filesystem::path path_;
  std::vector<std::string> lines_;
};

/// One line of `epochs.csv`: a column's name and its value.
using EpochRow = std::vector<std::pair<std::string, double>>;
/// The table of an epochs.csv. Throws Error naming file and line where it is none.
std::vector<EpochRow> read_epochs(const std::filesystem::path& path);

}  // namespace maskgrad
