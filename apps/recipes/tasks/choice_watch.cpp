#include "recipes/tasks/choice_watch.hpp"

#include <limits>

#include <maskgrad/layers/task_gate/expert_rules.hpp>

namespace maskgrad::apps {
namespace {

constexpr double kAny = std::numeric_limits<double>::infinity();

std::string excess_of(const std::string& feature) {
  return fmt::format("information on {} beyond that on the operator", feature);
}

std::vector<CollapseRule> rules_of(std::size_t experts, const std::vector<std::string>& features) {
  const ExpertRemedies remedies = {
      .unused = "raise --evenness, or let each expert learn all tasks for longer (--warm-up)",
      .few = "raise --evenness, or train longer (--steps)"};
  std::vector<CollapseRule> rules = expert_rules(experts, remedies);
  rules.push_back({"agreement", 0.95, kAny, 1, "operators share an expert",
                   "train longer (--steps), raise --evenness or --drops, or let each expert learn "
                   "all tasks for "
                   "longer (--warm-up)"});
  for (const std::string& feature : features) {
    rules.push_back({excess_of(feature), -kAny, 0.01, 1,
                     fmt::format("the choice follows {}", feature),
                     "raise --drops, lower --balance, or let each expert learn all tasks for "
                     "longer (--warm-up)"});
  }
  return rules;
}

}  // namespace

ChoiceWatch::ChoiceWatch(std::size_t experts, const std::vector<std::string>& features)
    : watch_(rules_of(experts, features)) {}

void ChoiceWatch::observe(const Choice& choice) {
  const std::vector<double> loads = loads_of(choice);
  for (std::size_t c = 0; c < loads.size(); ++c) {
    watch_.observe(fmt::format("load {}", c), loads[c]);
  }
}

void ChoiceWatch::end(const ChoiceFigures& figures) {
  watch_.observe("entropy", figures.entropy);
  watch_.observe("agreement", figures.agreement);
  for (const auto& [feature, information] : figures.of_others) {
    watch_.observe(excess_of(feature), information - figures.of_operator);
  }
}

}  // namespace maskgrad::apps
