// Numbers that tell whether experts are used, and when they say that a gate has collapsed.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <maskgrad/layers/learned_mask/collapse.hpp>
#include <maskgrad/layers/task_gate/choice.hpp>

namespace maskgrad {

/// The share of the samples whose best candidate each of the C candidates is. Samples without
/// positions do not count; all are 0 when none counts. Throws Error for a best that is no
/// candidate.
std::vector<double> loads_of(const Choice& choice);

/// What the rules of experts say to turn. A program whose knobs have other names says these.
struct ExpertRemedies {
  std::string unused = "raise the price of imbalance, or start with a higher temperature";
  std::string few = "raise the price of imbalance, or let the temperature fall later";
};

/// The rules of `experts` experts, K:
///   "load 0", "load 1", ..., of each step, the loads_of() its choice: below 1 / (4 K) for 300
///   steps;
///   "entropy", at the end, the mean_entropy() of a choice of many samples: below 0.9 log K.
/// Throws Error for no experts.
std::vector<CollapseRule> expert_rules(std::size_t experts, const ExpertRemedies& remedies = {});

}  // namespace maskgrad
