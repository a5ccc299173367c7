#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <maskgrad/layers/learned_mask/collapse.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad {
namespace {

constexpr double kAny = std::numeric_limits<double>::infinity();

std::string finding(const CollapseRule& rule, bool is_below) {
  const std::string side =
      is_below ? fmt::format("below {:.4g}", rule.low) : fmt::format("above {:.4g}", rule.high);
  const std::string length = rule.steps > 1 ? fmt::format(" for {} steps", rule.steps) : "";
  return fmt::format("{} was {}{}: {}; {}", rule.metric, side, length, rule.meaning, rule.remedy);
}

}  // namespace

std::vector<CollapseRule> learned_mask_rules(MaskRemedies remedies) {
  constexpr std::int64_t kSteps = 500;
  return {{"kept", 0.05, kAny, kSteps, "the mask drops everything", std::move(remedies.drops_all)},
          {"kept", -kAny, 0.95, kSteps, "the mask keeps everything", std::move(remedies.keeps_all)},
          {"undecided", -kAny, 0.1, 1, "the mask has not made up its mind",
           std::move(remedies.undecided)},
          {"hardening", -kAny, 0.02, 1, "the task leans on gates that are neither 0 nor 1",
           std::move(remedies.hardening)}};
}

CollapseWatch::CollapseWatch(std::vector<CollapseRule> rules) {
  for (CollapseRule& rule : rules) {
    check(!rule.metric.empty() && rule.low <= rule.high && rule.steps >= 1, "collapse",
          "a rule has a metric, low at most high, and a step at least; '{}' has {}, {} and {}",
          rule.metric, rule.low, rule.high, rule.steps);
    watched_.push_back({std::move(rule)});
  }
}

void CollapseWatch::observe(std::string_view metric, double value) {
  bool is_known = false;
  for (Watched& w : watched_) {
    if (w.rule.metric != metric) continue;
    is_known = true;
    w.below = value < w.rule.low ? w.below + 1 : 0;
    w.above = value > w.rule.high ? w.above + 1 : 0;
  }
  check(is_known, "collapse", "no rule is about '{}'", metric);
  if (std::isnan(value) && !std::ranges::count(not_numbers_, metric)) {
    not_numbers_.emplace_back(metric);
  }
}

std::vector<std::string> CollapseWatch::findings() const {
  std::vector<std::string> lines;
  for (const Watched& w : watched_) {
    if (w.below >= w.rule.steps) lines.push_back(finding(w.rule, true));
    if (w.above >= w.rule.steps) lines.push_back(finding(w.rule, false));
  }
  for (const std::string& metric : not_numbers_) lines.push_back(metric + " was not a number");
  return lines;
}

double undecided(std::span<const double> probabilities) {
  if (probabilities.empty()) return 0;
  double sum = 0;
  for (const double p : probabilities) sum += p * (1 - p);
  return sum / static_cast<double>(probabilities.size());
}

}  // namespace maskgrad
