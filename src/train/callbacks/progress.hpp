// Shows how far a run is.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Reports where a run goes on, step, rate, time left, the epoch's means, and the last validation.
class Progress : public Callback {
 public:
  enum class Style {
    kBar,       // one line, drawn again ten times a second; for terminals
    kAsciiBar,  // the same, of ASCII characters: =====-----
    kLines,     // a line every five seconds and one for each epoch
  };
  using Write = std::function<void(std::string_view)>;

  using Columns = std::function<int()>;
  using Clock = std::chrono::steady_clock;

  /// `write` gets the text, control characters included. With `color` the bar is coloured.
  /// `columns` returns the present width of the terminal. Without it the bar's line is not cut.
  Progress(Style style, bool color, Write write, Columns columns = {})
      : Progress(style, color, std::move(write),
                 std::chrono::milliseconds(style == Style::kLines ? 5000 : 100),
                 std::move(columns)) {}
  /// The same with another time between two reports.
  Progress(Style style, bool color, Write write, Clock::duration interval, Columns columns = {})
      : style_(style),
        color_(color),
        write_(std::move(write)),
        interval_(interval),
        columns_(std::move(columns)) {}
  /// Clears a bar that is still drawn, after an error for example.
  ~Progress() override;

  void on_start(const Trainer& trainer) override;
  void on_step(const Trainer& trainer, const StepInfo& step) override;
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) override;
  void on_interrupt(const Trainer& trainer) override;
  void on_evaluation(const Trainer& trainer, const EvaluationInfo& evaluation) override;

 private:
  bool is_bar() const { return style_ != Style::kLines; }
  void report();
  void write_whole_line(const std::string& text);
  std::string bar_line() const;
  std::string bar(int width) const;
  std::vector<std::string> status() const;
  double seconds_used() const;
  double seconds_left(double rate) const;

  Style style_;
  bool color_;
  Write write_;
  Clock::duration interval_;
  Columns columns_;
  bool drawn_ = false;  // a bar stands in the terminal's last line
  const Trainer* trainer_ = nullptr;
  Clock::time_point start_, next_report_;
  std::int64_t first_step_ = 0;  // the one this process began with
  std::int64_t done_ = 0;
  std::vector<Metric> validation_ = {};  // the last one
};

/// "0:07", "12:34", "1:02:03".
std::string format_duration(double seconds);

}  // namespace maskgrad
