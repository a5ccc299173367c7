#include <algorithm>
#include <cmath>

#include <maskgrad/train/callbacks/progress.hpp>

namespace maskgrad {
namespace {

constexpr const char* kClearLine = "\r\x1b[K";

constexpr int kBarWidth = 20, kNarrowBarWidth = 4;

std::string text_of(const Metric& metric) {
  return fmt::format("  {} {:.4f}", metric.name, metric.mean());
}

std::string means(std::span<const Metric> totals) {
  std::string text;
  for (const Metric& metric : totals) text += text_of(metric);
  return text;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  const std::int64_t hours = total / 3600, minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{}:{:02}", minutes, total % 60);
}

Progress::~Progress() {
  if (drawn_) write_(kClearLine);
}

void Progress::on_start(const Trainer& trainer) {
  trainer_ = &trainer;
  done_ = first_step_ = trainer.state().step;
  start_ = Clock::now();
  next_report_ = start_ + interval_;
}

void Progress::on_step(const Trainer&, const StepInfo& step) {
  done_ = step.step + 1;
  const Clock::time_point now = Clock::now();
  if (now < next_report_) return;
  next_report_ = now + interval_;
  report();
}

void Progress::report() {
  if (style_ == Style::kBar) {
    write_(kClearLine + bar_line());
    drawn_ = true;
  } else {
    write_("step" + joined(status()) + "\n");
  }
}

// Step, rate, time left and means, with the space before each.
std::vector<std::string> Progress::status() const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = static_cast<double>(done_ - first_step_) / std::max(elapsed, 1e-9);
  const double left = static_cast<double>(trainer_->total_steps() - done_) / std::max(rate, 1e-9);
  std::vector<std::string> parts = {fmt::format(" {}/{}", done_, trainer_->total_steps()),
                                    fmt::format("  {:.0f} steps/s", rate),
                                    fmt::format("  {} left", format_duration(left))};
  for (const Metric& metric : trainer_->state().totals) parts.push_back(text_of(metric));
  return parts;
}

// A line that the terminal wraps cannot be wiped: the bar gives way first, then figures from the
// last on.
std::string Progress::bar_line() const {
  std::vector<std::string> parts = status();
  const auto free_columns = [&] {
    // The last column stays empty: some terminals wrap once it is written.
    return columns_ ? columns_() - 1 - static_cast<int>(joined(parts).size()) : kBarWidth;
  };
  while (parts.size() > 1 && free_columns() < kNarrowBarWidth) parts.pop_back();
  const int width = std::min(free_columns(), kBarWidth);
  return width < 0 ? "" : bar(width) + joined(parts);
}

std::string Progress::bar(int width) const {
  const double share = static_cast<double>(done_) /
                       static_cast<double>(std::max<std::int64_t>(1, trainer_->total_steps()));
  const int filled = static_cast<int>(std::floor(share * width));
  std::string text;
  if (color_) text += "\x1b[32m";
  for (int i = 0; i < filled; ++i) text += "━";
  if (color_) text += "\x1b[90m";
  for (int i = filled; i < width; ++i) text += color_ ? "━" : "─";
  if (color_) text += "\x1b[0m";
  return text;
}

void Progress::on_epoch(const Trainer& trainer, const EpochInfo& epoch) {
  write_whole_line(fmt::format("epoch {}/{}{}  {} steps  {:.1f} s", epoch.epoch,
                               trainer.options().epochs, means(epoch.totals), epoch.steps,
                               epoch.seconds));
}

void Progress::on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) {
  write_whole_line(fmt::format("ended after step {}/{}{}  mean of the last {} steps",
                               trainer.state().step, trainer.total_steps(), means(part.totals),
                               part.batches));
}

void Progress::on_interrupt(const Trainer& trainer) {
  write_whole_line(
      fmt::format("stopped after step {}/{}", trainer.state().step, trainer.total_steps()));
}

void Progress::on_evaluation(const Trainer&, const EvaluationInfo& evaluation) {
  write_whole_line(fmt::format("validation after step {}{}{}", evaluation.step,
                               means(evaluation.totals), evaluation.is_best ? "  the best" : ""));
}

void Progress::write_whole_line(const std::string& text) {
  write_((style_ == Style::kBar ? kClearLine : "") + text + "\n");
  drawn_ = false;
}

}  // namespace maskgrad
