#include "recipes/distractors/pattern_information.hpp"

#include <algorithm>
#include <cmath>

namespace maskgrad::apps {
namespace {

template <class Key>
double entropy(const std::map<Key, std::int64_t>& counts) {
  double all = 0, sum = 0;
  for (const auto& [key, count] : counts) all += static_cast<double>(count);
  if (all == 0) return 0;
  for (const auto& [key, count] : counts) {
    const double p = static_cast<double>(count) / all;
    sum -= p * std::log2(p);
  }
  return sum + (static_cast<double>(counts.size()) - 1) / (2 * all * std::log(2.0));
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
