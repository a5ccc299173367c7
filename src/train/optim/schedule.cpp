#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
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
double tail(double step, double total, double share) {
  const double steps = std::max(1.0, std::round(share * total));
  return std::min(1.0, (total - step) / steps);
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
  fail("schedule", "'{}' is not one of {}", text, fmt::join(schedule_names(), ", "));
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const Schedule::Kind kind : kKinds) names.emplace_back(to_string(kind));
  return names;
}

}  // namespace maskgrad
