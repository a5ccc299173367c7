#include <algorithm>
#include <cmath>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/callbacks/progress.hpp>
#include <maskgrad/train/number_text.hpp>

namespace maskgrad {
namespace {

constexpr const char* kClearLine = "\r\x1b[K";

constexpr int kBarWidth = 20, kNarrowBarWidth = 4;

std::string text_of(const Metric& metric) {
  return fmt::format("  {} {}", metric.name, mean_text(metric.mean()));
}

std::string means(std::span<const Metric> totals) {
  std::string text;
  for (const Metric& metric : totals) text += text_of(metric);
  return text;
}

// "12/100", or "12" where only the time of the run is known.
std::string step_of(const Trainer& trainer, std::int64_t step) {
  const std::int64_t total = trainer.total_steps();
  return total == Trainer::kUnknown ? fmt::format("{}", step) : fmt::format("{}/{}", step, total);
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

void Progress::on_step(const Trainer& trainer, const StepInfo& step) {
  // Not before: a run that goes on may have no step left, or end at once by patience.
  if (first_step_ > 0 && step.step == first_step_) {
    write_whole_line(fmt::format("goes on after step {}", step_of(trainer, first_step_)));
  }
  done_ = step.step + 1;
  const Clock::time_point now = Clock::now();
  if (now < next_report_) return;
  next_report_ = now + interval_;
  report();
}

void Progress::report() {
  if (is_bar()) {
    write_(kClearLine + bar_line());
    drawn_ = true;
  } else {
    write_("step" + joined(status()) + "\n");
  }
}

double Progress::seconds_used() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

// By steps or by time, whichever ends the run first.
double Progress::seconds_left(double rate) const {
  const double steps = static_cast<double>(trainer_->total_steps() - done_);
  const double by_steps = steps / std::max(rate, 1e-9);
  const double limit = trainer_->options().max_minutes * 60;
  return limit > 0 ? std::min(by_steps, limit - seconds_used()) : by_steps;
}

// Step, rate, time left, means, and those of the last validation, with the space before each.
std::vector<std::string> Progress::status() const {
  const double rate = static_cast<double>(done_ - first_step_) / std::max(seconds_used(), 1e-9);
  const double left = seconds_left(rate);
  std::vector<std::string> parts = {fmt::format(" {}", step_of(*trainer_, done_)),
                                    fmt::format("  {:.0f} steps/s", rate),
                                    fmt::format("  {} left", format_duration(left))};
  for (const Metric& metric : trainer_->state().totals) parts.push_back(text_of(metric));
  for (const Metric& metric : validation_) {
    const bool is_first = &metric == &validation_.front();
    parts.push_back(is_first ? "  validation" + text_of(metric).substr(1) : text_of(metric));
  }
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
  const double by_steps = static_cast<double>(done_) /
                          static_cast<double>(std::max<std::int64_t>(1, trainer_->total_steps()));
  const double limit = trainer_->options().max_minutes * 60;
  const double by_time = limit > 0 ? seconds_used() / limit : 0;
  const double share = std::min(1.0, std::max(by_steps, by_time));
  const int filled = static_cast<int>(std::floor(share * width));
  const bool is_ascii = style_ == Style::kAsciiBar;
  const char *const done = is_ascii ? "=" : "━", *const left = is_ascii ? "-" : "─";
  std::string text;
  if (color_) text += "\x1b[32m";
  for (int i = 0; i < filled; ++i) text += done;
  if (color_) text += "\x1b[90m";
  for (int i = filled; i < width; ++i) text += color_ && !is_ascii ? done : left;
  if (color_) text += "\x1b[0m";
  return text;
}

void Progress::on_epoch(const Trainer& trainer, const EpochInfo& epoch) {
  const std::int64_t epochs = trainer.options().epochs;
  const std::string of_all = epochs > 0 ? fmt::format("/{}", epochs) : "";
  write_whole_line(fmt::format("epoch {}{}{}  {}  {:.1f} s", epoch.epoch, of_all,
                               means(epoch.totals), count_of(epoch.steps, "step"), epoch.seconds));
}

void Progress::on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) {
  write_whole_line(fmt::format("ended after step {}{}  mean of the last {}",
                               step_of(trainer, trainer.state().step), means(part.totals),
                               count_of(part.batches, "step")));
}

void Progress::on_interrupt(const Trainer& trainer) {
  write_whole_line(fmt::format("stopped after step {}", step_of(trainer, trainer.state().step)));
}

void Progress::on_evaluation(const Trainer&, const EvaluationInfo& evaluation) {
  validation_.assign(evaluation.totals.begin(), evaluation.totals.end());
  write_whole_line(fmt::format("validation after step {}{}{}", evaluation.step,
                               means(evaluation.totals), evaluation.is_best ? "  the best" : ""));
}

void Progress::write_whole_line(const std::string& text) {
  write_((is_bar() ? kClearLine : "") + text + "\n");
  drawn_ = false;
}

}  // namespace maskgrad
