// Watches numbers of a run for signs that a mask or a gate learns nothing, and names what to turn.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad {

/// A metric that should stay within low .. high. It is a sign when it was outside in the last
/// `steps` calls.
struct CollapseRule {
  std::string metric;   // its name, such as "kept"
  double low, high;     // within these it is well
  std::int64_t steps;   // in a row; 1 for a metric that is observed once, at the end
  std::string meaning;  // of a sign: "the mask drops everything"
  std::string remedy;   // what to turn
};

/// What the rules of a mask say to turn. A program whose knobs have other names says these.
struct MaskRemedies {
  std::string drops_all = "lower the cost, or let it rise later; start with a larger open logit";
  std::string keeps_all = "raise the cost; start with a smaller open logit";
  std::string undecided =
      "lower the temperature, train the mask longer, or raise the bound of the logits";
  std::string hardening = "lower the temperature, draw hard samples, or train on with hard masks";
};

/// The rules of masks that are learned:
///   "kept", of each step, the share of the positions that decide() keeps: below 5 % or above 95 %
///   for 500 steps;
///   "undecided", at the end, the mean of p (1 - p): above 0.1;
///   "hardening", at the end, accuracy with soft gates minus accuracy with hard ones: above 0.02.
/// The mean of Sampler::kept() would not show each collapse: where all logits are -4, that of
/// HardConcrete is 0.08.
std::vector<CollapseRule> learned_mask_rules(MaskRemedies remedies = {});

/// Observes metrics and says what is wrong. Rules for other gates, such as experts, are further
/// rules.
class CollapseWatch {
 public:
  /// Throws Error for a rule without a metric, with low above high or NaN, or with steps below 1.
  explicit CollapseWatch(std::vector<CollapseRule> rules);

  /// The metric has this value now. Throws Error for a metric that no rule has.
  void observe(std::string_view metric, double value);
  /// A line for each rule that is broken now, in the order of the rules: "kept was below 0.05 for
  /// 500 steps: ...; lower ...". A mask that began open and then learned what to drop breaks none.
  /// Then a line for each metric that ever was NaN: "kept was not a number".
  std::vector<std::string> findings() const;

  /// What was counted up to now, as text of one line: "0 12 0;3 0 1", for each rule the calls in a
  /// row below and above its limits, and 1 where its metric ever was NaN. For a checkpoint: a run
  /// that goes on then finds what it would have found at one go.
  std::string counts() const;
  /// Goes on from there. Throws Error for a text that is not counts() of as many rules.
  void restore(std::string_view counts);

 private:
  struct Watched {
    CollapseRule rule;
    std::int64_t below = 0, above = 0;  // calls in a row, up to now
    bool was_nan = false;
  };
  std::vector<Watched> watched_;
};

/// The mean of p (1 - p) over probabilities: 0 when all are decided, 0.25 when none is. 0 for none.
double undecided(std::span<const double> probabilities);

}  // namespace maskgrad
