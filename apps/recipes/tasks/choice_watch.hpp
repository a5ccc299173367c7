// Watches a run for signs that experts do not share the tasks among them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/learned_mask/collapse.hpp>
#include <maskgrad/layers/task_gate/choice.hpp>

namespace maskgrad::apps {

/// What an examination says of the choices.
struct ChoiceFigures {
  double entropy = 0;                                     // of the mean gate, in nats
  double agreement = 0;                                   // with the operator
  double of_operator = 0;                                 // information on it, in nats
  std::vector<std::pair<std::string, double>> of_others;  // and on other features, by name
};

/// The rules of expert_rules(). Further rules, at the end: the agreement is below 0.95; and the
/// choice tells more of another feature than of the operator, by 0.01 nat.
class ChoiceWatch {
 public:
  ChoiceWatch(std::size_t experts, const std::vector<std::string>& features);

  /// The choice of a training step.
  void observe(const Choice& choice);
  /// The end of a run. Throws Error for a feature that the constructor did not hear of.
  void end(const ChoiceFigures& figures);
  /// A line for each sign.
  std::vector<std::string> findings() const { return watch_.findings(); }
  /// See CollapseWatch.
  std::string counts() const { return watch_.counts(); }
  void restore(std::string_view counts) { watch_.restore(counts); }

 private:
  CollapseWatch watch_;
};

}  // namespace maskgrad::apps
