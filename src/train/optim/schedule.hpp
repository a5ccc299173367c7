// The learning rate as a function of the step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad {

/// The factor that a run's learning rate is multiplied by in each step. It is the smaller of two:
/// the linear warm-up (Goyal et al. 2017)
///   min(1, (step + 1) / warmup_steps),  step = 0, 1, ...,
/// and one of
///   kConstant  1
///   kCosine    (1 + cos(pi p)) / 2, with p = (step - warmup_steps) / (total - warmup_steps):
///              half a period (Loshchilov & Hutter 2017, without restarts)
///   kWsd       1, and over the last `decay_share` of all steps (total - step) / their number:
///              warm-up, stable, decay (Hu et al. 2024, MiniCPM), with the linear tail of
///              Haegele et al. 2024
/// A warm-up may be longer than the run.
struct Schedule {
  enum class Kind { kConstant, kCosine, kWsd };

  Kind kind = Kind::kConstant;
  std::int64_t warmup_steps = 0;
  double decay_share = 0.1;  // of kWsd: of all steps

  /// The factor, in [0, 1]. It depends on the two numbers alone, so a run that goes on has the
  /// rates of an unbroken one. Requires 0 <= step < total_steps.
  double factor(std::int64_t step, std::int64_t total_steps) const;

  /// For a run that time ends: the number of steps with which the schedule ends in time. Nothing as
  /// long as it need not be known. kCosine must know it when its warm-up ends, and takes the pace
  /// of the steps until then for that of all: a longer warm-up measures better. kWsd must know it
  /// when the time left is just enough for its tail. Until then no rate depends on it. So a run of
  /// this number of steps has had the same rates. A kCosine that has no warm-up or goes on behind
  /// it is the exception: its rate stays whole until a part of the time has shown the pace.
  /// `timed_steps`, of the `steps` that are done, took the share `used` of the time. Requires 0 <
  /// timed_steps <= steps and used > 0.
  std::optional<std::int64_t> steps_in_time(std::int64_t steps, std::int64_t timed_steps,
                                            double used) const;

  friend bool operator==(const Schedule&, const Schedule&) = default;
};

/// Throws Error "[train] ..." unless warmup_steps is at least 0 and decay_share in (0, 1].
void check_schedule(const Schedule& schedule);

/// "constant", "cosine", "wsd".
std::string_view to_string(Schedule::Kind kind);
/// The inverse. Throws Error for any other text.
Schedule::Kind schedule_from_string(std::string_view text);
/// The names of all kinds.
std::vector<std::string> schedule_names();

}  // namespace maskgrad
