// Watches numbers of a run for signs that a mask or a gate learns nothing, and names what to turn.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad {

/// A number that should stay within low .. high. It is a sign when it is outside in `steps` calls
/// in a row.
struct CollapseRule {
  std::string number;  // its name, such as "kept"
  double low, high;    // within these it is well; NaN never is
  std::int64_t steps;  // in a row; 1 for a number that is seen once, at the end
  std::string says;    // what it means
  std::string knob;    // what to turn
};

/// The rules of masks that are learned:
///   "kept", of each step, the mean of Sampler::kept(): below 5 % or above 95 % for 500 steps;
///   "undecided", at the end, the mean of p (1 - p): above 0.1;
///   "hardening", at the end, accuracy with soft gates minus accuracy with hard ones: above 0.02.
std::vector<CollapseRule> learned_mask_rules();

/// Hears of numbers and says what is wrong. Rules for other gates, such as experts, are further
/// rules.
class CollapseWatch {
 public:
  /// Throws Error for a rule without a number, with low above high, or with steps below 1.
  explicit CollapseWatch(std::vector<CollapseRule> rules);

  /// The number has this value now. Throws Error for a number that no rule has.
  void see(std::string_view number, double value);
  /// A line for each rule that was broken, in the order of the rules: "kept was below 0.05 for 500
  /// steps: ...: lower ...". A rule stays broken once it was.
  std::vector<std::string> findings() const;

 private:
  struct Watched {
    CollapseRule rule;
    std::int64_t below = 0, above = 0;  // calls in a row
    bool was_below = false, was_above = false;
  };
  std::vector<Watched> watched_;
};

/// The mean of p (1 - p) over probabilities: 0 when all are decided, 0.25 when none is. 0 for none.
double undecided(std::span<const double> probabilities);

}  // namespace maskgrad
