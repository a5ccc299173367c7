// Watches a run for signs that experts do not share the tasks among them.
#pragma once

#include <optional>
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

  /// A choice of training step `step`, for all of its batch or for a part.
  void observe(const Choice& choice, std::uint64_t step);
  /// The end of a run. Throws Error for a feature that the constructor did not hear of.
  void end(const ChoiceFigures& figures);
  /// A line for each sign.
  std::vector<std::string> findings() const { return watch_.findings(); }

 private:
  // Of the parts of a step that were seen so far.
  struct Loads {
    std::uint64_t step = 0;
    std::vector<double> sums;
    double parts = 0;
  };
  void observe_loads();

  CollapseWatch watch_;
  std::optional<Loads> loads_;
};

}  // namespace maskgrad::apps
