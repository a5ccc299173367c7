// What a run does beside its trainer. Internal to src/train/run.
#pragma once

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <maskgrad/train/run/folder_claim.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Remembers the totals of the last epoch, or of what was done of it when the run ended or was
/// interrupted, and of the last validation. Stands behind all others.
class LastEpoch : public Callback {
 public:
  void on_start(const Trainer&) override { has_started_ = true; }
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer&, const EpochInfo& epoch) override {
    keep(epoch.totals, 0);
    seconds_ += epoch.seconds;
  }
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override {
    keep(part.totals, part.batches);
    seconds_ += part.seconds;
  }
  void on_interrupt(const Trainer& trainer) override {
    keep(trainer.state().totals, trainer.state().position.batch);
  }
  void on_evaluation(const Trainer&, const EvaluationInfo& evaluation) override {
    validation_.assign(evaluation.totals.begin(), evaluation.totals.end());
  }
  /// Whether training has begun, and so all callbacks before this one had nothing against it.
  bool has_started() const { return has_started_; }
  const std::vector<Metric>& totals() const { return totals_; }
  const std::vector<Metric>& validation() const { return validation_; }
  /// How many batches of an epoch the totals are of; 0: of all.
  std::int64_t batches() const { return batches_; }
  /// The time within all epochs that ended, and within the part of one that ended the run.
  double seconds() const { return seconds_; }

 private:
  void keep(std::span<const Metric> totals, std::int64_t batches) {
    totals_.assign(totals.begin(), totals.end());
    batches_ = batches;
  }

  std::vector<Metric> totals_, validation_;
  std::int64_t batches_ = 0;
  double seconds_ = 0;
  bool has_started_ = false;
};

/// Nothing is written into a folder that is not the run's any more: stands before the callbacks
/// that write there.
class StayInPlace : public Callback {
 public:
  explicit StayInPlace(const FolderClaim& claim) : claim_(claim) {}
  void on_start(const Trainer&) override { claim_.check_place(); }
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer&, const EpochInfo&) override { claim_.check_place(); }
  void on_interrupt(const Trainer&) override { claim_.check_place(); }
  void on_checkpoint(const Trainer&) override { claim_.check_place(); }

 private:
  const FolderClaim& claim_;
};

/// From the first checkpoint on, the run folder stays: stands behind the callback that saves them.
class KeepFolder : public Callback {
 public:
  explicit KeepFolder(FolderClaim& claim) : claim_(claim) {}
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer&, const EpochInfo&) override { claim_.keep(); }
  void on_interrupt(const Trainer&) override { claim_.keep(); }
  void on_checkpoint(const Trainer&) override { claim_.keep(); }

 private:
  FolderClaim& claim_;
};

/// Does something once the callbacks before it know how the run goes on.
class AtStart : public Callback {
 public:
  explicit AtStart(std::function<void()> f) : f_(std::move(f)) {}
  void on_start(const Trainer&) override { f_(); }
  bool needs_step(std::int64_t) const override { return false; }

 private:
  std::function<void()> f_;
};

/// Does something once, before the first step is heard of.
class AtFirstStep : public Callback {
 public:
  explicit AtFirstStep(std::function<void()> f) : f_(std::move(f)) {}
  void on_step(const Trainer&, const StepInfo&) override {
    if (f_) std::exchange(f_, {})();
  }
  bool needs_step(std::int64_t) const override { return f_ != nullptr; }

 private:
  std::function<void()> f_;
};

}  // namespace maskgrad
