// What a mask's pattern alone tells of an answer.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace maskgrad::apps {

/// The mutual information of two things that were seen together: which tokens of a problem are
/// kept, and its answer. 0 bits for a mask that keeps the same places of every problem. A mask that
/// tells more may have learned to write the answer instead of leaving it to the model.
class PatternInformation {
 public:
  void add(const std::string& pattern, std::int64_t answer);
  /// In bits, at least 0: H(pattern) + H(answer) - H(both), each from frequencies, with the
  /// correction of Miller & Madow for few samples.
  double bits() const;

 private:
  std::map<std::string, std::int64_t> patterns_;
  std::map<std::int64_t, std::int64_t> answers_;
  std::map<std::pair<std::string, std::int64_t>, std::int64_t> both_;
};

}  // namespace maskgrad::apps
