#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <maskgrad/layers/learned_mask/collapse.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "collapse";
constexpr double kAny = std::numeric_limits<double>::infinity();

std::string finding(const CollapseRule& rule, bool is_below) {
  const std::string side =
      is_below ? fmt::format("below {:.4g}", rule.low) : fmt::format("above {:.4g}", rule.high);
  const std::string length = rule.steps > 1 ? fmt::format(" for {} steps", rule.steps) : "";
  return fmt::format("{} was {}{}: {}; {}", rule.metric, side, length, rule.meaning, rule.remedy);
}

// Takes a count of at least 0, and the character behind it, from the front of the text.
std::int64_t take_count(std::string_view& text, char behind) {
  std::int64_t count = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const auto length = static_cast<std::size_t>(end - text.data());
  check(error == std::errc() && count >= 0 && length < text.size() && text[length] == behind, kName,
        "these are no counts of a watch");
  text.remove_prefix(length + 1);
  return count;
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
    check(!rule.metric.empty() && rule.low <= rule.high && rule.steps >= 1, kName,
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
    w.was_nan = w.was_nan || std::isnan(value);
  }
  check(is_known, kName, "no rule is about '{}'", metric);
}

std::vector<std::string> CollapseWatch::findings() const {
  std::vector<std::string> lines;
  for (const Watched& w : watched_) {
    if (w.below >= w.rule.steps) lines.push_back(finding(w.rule, true));
    if (w.above >= w.rule.steps) lines.push_back(finding(w.rule, false));
  }
  for (const Watched& w : watched_) {
    const std::string line = w.rule.metric + " was not a number";
    if (w.was_nan && !std::ranges::count(lines, line)) lines.push_back(line);
  }
  return lines;
}

std::string CollapseWatch::counts() const {
  std::string text;
  for (const Watched& w : watched_) {
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ";", w.below, w.above, w.was_nan ? 1 : 0);
  }
  return text;
}

void CollapseWatch::restore(std::string_view counts) {
  const std::string whole = counts.empty() ? "" : std::string(counts) + ';';
  std::string_view left = whole;
  std::vector<Watched> restored = watched_;
  for (Watched& w : restored) {
    w.below = take_count(left, ' ');
    w.above = take_count(left, ' ');
    w.was_nan = take_count(left, ';') > 0;
  }
  check(left.empty(), kName, "these are counts of more than {} rules", watched_.size());
  watched_ = std::move(restored);
}

double undecided(std::span<const double> probabilities) {
  if (probabilities.empty()) return 0;
  double sum = 0;
  for (const double p : probabilities) sum += p * (1 - p);
  return sum / static_cast<double>(probabilities.size());
}

}  // namespace maskgrad
