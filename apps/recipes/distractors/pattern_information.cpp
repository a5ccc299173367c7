#include "recipes/distractors/pattern_information.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <maskgrad/layers/task_gate/entropy.hpp>

namespace maskgrad::apps {
namespace {

// In bits.
template <class Key>
double entropy(const std::map<Key, std::int64_t>& counts) {
  std::vector<double> weights;
  double all = 0;
  for (const auto& [key, count] : counts) {
    weights.push_back(static_cast<double>(count));
    all += weights.back();
  }
  if (all == 0) return 0;
  const double nats = entropy_of(weights) + (static_cast<double>(counts.size()) - 1) / (2 * all);
  return nats / std::log(2.0);
}

}  // namespace

void PatternInformation::add(const std::string& pattern, std::int64_t answer) {
  ++patterns_[pattern];
  ++answers_[answer];
  ++both_[{pattern, answer}];
}

double PatternInformation::bits() const {
  return std::max(0.0, entropy(patterns_) + entropy(answers_) - entropy(both_));
}

}  // namespace maskgrad::apps
