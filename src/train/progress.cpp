#include <algorithm>
#include <cmath>

#include <maskgrad/train/progress.hpp>

namespace maskgrad {
namespace {

constexpr const char* kClearLine = "\r\x1b[K";

std::string means(std::span<const Metric> totals) {
  std::string text;
  for (const Metric& metric : totals)
    text += fmt::format("  {} {:.4f}", metric.name, metric.mean());
  return text;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  const std::int64_t hours = total / 3600, minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{}:{:02}", minutes, total % 60);
}

void Progress::on_start(const Trainer& trainer) {
  trainer_ = &trainer;
  done_ = first_step_ = trainer.state().step;
  start_ = Clock::now();
  next_report_ = start_ + interval_;
}

void Progress::on_step(const StepInfo& step) {
  done_ = step.step + 1;
  const Clock::time_point now = Clock::now();
  if (now < next_report_) return;
  next_report_ = now + interval_;
  report();
}

void Progress::report() {
  if (style_ == Style::kBar)
    write_(kClearLine + bar() + " " + status());
  else
    write_(fmt::format("step {}/{}  {}\n", done_, trainer_->total_steps(), status()));
}

std::string Progress::status() const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = static_cast<double>(done_ - first_step_) / std::max(elapsed, 1e-9);
  const double left = static_cast<double>(trainer_->total_steps() - done_) / std::max(rate, 1e-9);
  return fmt::format("{:.0f} steps/s  {} left{}", rate, format_duration(left),
                     means(trainer_->state().totals));
}

std::string Progress::bar() const {
  constexpr int kWidth = 20;
  const double share = static_cast<double>(done_) /
                       static_cast<double>(std::max<std::int64_t>(1, trainer_->total_steps()));
  const int filled = static_cast<int>(std::floor(share * kWidth));
  std::string text;
  if (color_) text += "\x1b[32m";
  for (int i = 0; i < filled; ++i) text += "━";
  if (color_) text += "\x1b[90m";
  for (int i = filled; i < kWidth; ++i) text += color_ ? "━" : "─";
  if (color_) text += "\x1b[0m";
  return fmt::format("{} {:3.0f}%", text, 100.0 * share);
}

void Progress::on_epoch(const Trainer& trainer, const EpochInfo& epoch) {
  const char* clear = style_ == Style::kBar ? kClearLine : "";
  write_(fmt::format("{}epoch {}/{}{}  {} steps  {:.1f} s\n", clear, epoch.epoch,
                     trainer.options().epochs, means(epoch.totals), epoch.steps, epoch.seconds));
}

void Progress::on_interrupt(const Trainer& trainer) {
  const char* clear = style_ == Style::kBar ? kClearLine : "";
  write_(fmt::format("{}stopped after step {}/{}\n", clear, trainer.state().step,
                     trainer.total_steps()));
}

}  // namespace maskgrad
