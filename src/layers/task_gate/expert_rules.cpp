#include <algorithm>
#include <cmath>
#include <limits>

#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/task_gate/expert_rules.hpp>

namespace maskgrad {

std::vector<double> loads_of(const Choice& choice) {
  check_given(choice.shares.defined() && choice.best.defined(), "choice", "shares or best");
  check_best("choice", choice.best, choice.shares.dim(1));
  std::vector<double> loads(static_cast<std::size_t>(choice.shares.dim(1)));
  double count = 0;
  for (const std::int64_t best : choice.best.values<std::int64_t>()) {
    if (best < 0) continue;
    ++loads[static_cast<std::size_t>(best)];
    ++count;
  }
  for (double& load : loads) load /= std::max(count, 1.0);
  return loads;
}

std::vector<CollapseRule> expert_rules(std::size_t experts, const ExpertRemedies& remedies) {
  check(experts > 0, "experts", "rules need an expert");
  constexpr double kAny = std::numeric_limits<double>::infinity();
  constexpr std::int64_t kSteps = 300;
  const auto count = static_cast<double>(experts);
  std::vector<CollapseRule> rules;
  for (std::size_t c = 0; c < experts; ++c) {
    rules.push_back({fmt::format("load {}", c), 1 / (4 * count), kAny, kSteps,
                     "an expert serves nobody", remedies.unused});
  }
  rules.push_back(
      {"entropy", 0.9 * std::log(count), kAny, 1, "few experts serve all", remedies.few});
  return rules;
}

}  // namespace maskgrad
