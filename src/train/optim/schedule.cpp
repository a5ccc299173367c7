#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/optim/schedule.hpp>

namespace maskgrad {
namespace {

constexpr Schedule::Kind kKinds[] = {Schedule::Kind::kConstant, Schedule::Kind::kCosine,
                                     Schedule::Kind::kWsd};

double cosine(double step, double warmup, double total) {
  if (step < warmup) return 1.0;
  return 0.5 * (1.0 + std::cos(std::numbers::pi * (step - warmup) / (total - warmup)));
}

// One step at least: the tail of a short run is its last step.
double tail_steps(double total, double share) { return std::max(1.0, std::round(share * total)); }

double tail(double step, double total, double share) {
  return std::min(1.0, (total - step) / tail_steps(total, share));
}

// The fewest steps of a run whose tail begins no earlier than behind `steps` steps.
double steps_with_tail(double steps, double share) {
  double total = std::floor(steps / (1 - share));
  while (total - tail_steps(total, share) < steps) ++total;
  return total;
}

}  // namespace

double Schedule::factor(std::int64_t step, std::int64_t total_steps) const {
  const auto at = static_cast<double>(step), total = static_cast<double>(total_steps),
             warmup = static_cast<double>(warmup_steps);
  const double rise = step < warmup_steps ? (at + 1.0) / warmup : 1.0;
  switch (kind) {
    case Kind::kConstant:
      return rise;
    case Kind::kCosine:
      return std::min(rise, cosine(at, warmup, total));
    case Kind::kWsd:
      return std::min(rise, tail(at, total, decay_share));
  }
  return rise;
}

std::optional<std::int64_t> Schedule::steps_in_time(std::int64_t steps, std::int64_t timed_steps,
                                                    double used) const {
  const auto done = static_cast<double>(steps);
  const double left = static_cast<double>(timed_steps) * (1 - used) / used;
  if (kind == Kind::kConstant) return std::nullopt;
  // The first steps of a call tell little of the pace of all. Nothing is lost by waiting but where
  // a warm-up ends.
  constexpr double kMeasured = 0.03;
  const bool must_know = kind == Kind::kCosine ? steps == warmup_steps : decay_share >= 1;
  if (used < kMeasured && !must_know) return std::nullopt;
  double total = done + left;
  if (kind == Kind::kCosine) {
    if (steps < warmup_steps) return std::nullopt;
  } else if (decay_share < 1) {  // a tail that is all of the run must be known at once
    total = steps_with_tail(done, decay_share);
    if (total - done < left) return std::nullopt;
  }
  constexpr double kMost = 1e18;
  return std::max(steps + 1, static_cast<std::int64_t>(std::min(total, kMost)));
}

void check_schedule(const Schedule& schedule) {
  check(schedule.warmup_steps >= 0, "train", "warmup_steps must be at least 0, not {}",
        schedule.warmup_steps);
  check(schedule.decay_share > 0 && schedule.decay_share <= 1, "train",
        "decay_share must be above 0 and at most 1, not {}", schedule.decay_share);
}

std::string_view to_string(Schedule::Kind kind) {
  switch (kind) {
    case Schedule::Kind::kConstant:
      return "constant";
    case Schedule::Kind::kCosine:
      return "cosine";
    case Schedule::Kind::kWsd:
      return "wsd";
  }
  return "";
}

Schedule::Kind schedule_from_string(std::string_view text) {
  for (const Schedule::Kind kind : kKinds) {
    if (to_string(kind) == text) return kind;
  }
  fail("schedule", "'{}' is not one of {}", shortened(text), fmt::join(schedule_names(), ", "));
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const Schedule::Kind kind : kKinds) names.emplace_back(to_string(kind));
  return names;
}

}  // namespace maskgrad
