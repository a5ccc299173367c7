// What a training run does beside its trainer: small callbacks of the program's own.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/train/trainer.hpp>

#include "cli/folder_claim.hpp"

namespace maskgrad::apps {

/// The means of the last epoch, or of what was done of it, to be printed once training has ended.
class LastMeans : public Callback {
 public:
  void on_start(const Trainer&) override { has_started_ = true; }
  void on_epoch(const Trainer&, const EpochInfo& epoch) override { write(epoch, ""); }
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override {
    write(part, fmt::format("  mean of the last {} steps", part.batches));
  }
  const std::string& text() const { return text_; }
  /// Whether training has begun, and so all callbacks before this one had nothing against it.
  bool has_started() const { return has_started_; }

 private:
  void write(const EpochInfo& epoch, const std::string& remark) {
    text_.clear();
    for (const Metric& metric : epoch.totals)
      text_ += fmt::format("{:<10} {:.4f}{}\n", metric.name, metric.mean(), remark);
  }

  std::string text_;
  bool has_started_ = false;
};

/// Nothing is written into a folder that is not the run's any more: stands before the callbacks
/// that write there.
class StayInPlace : public Callback {
 public:
  explicit StayInPlace(const FolderClaim& claim) : claim_(claim) {}
  void on_start(const Trainer&) override { claim_.check_place(); }
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
  void on_epoch(const Trainer&, const EpochInfo&) override { claim_.keep(); }
  void on_interrupt(const Trainer&) override { claim_.keep(); }
  void on_checkpoint(const Trainer&) override { claim_.keep(); }

 private:
  FolderClaim& claim_;
};

/// Does something once, before the first step is heard of.
class AtFirstStep : public Callback {
 public:
  explicit AtFirstStep(std::function<void()> f) : f_(std::move(f)) {}
  void on_step(const Trainer&, const StepInfo&) override {
    if (f_) std::exchange(f_, {})();
  }

 private:
  std::function<void()> f_;
};

}  // namespace maskgrad::apps
