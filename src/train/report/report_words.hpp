// Words that the sentences of a report share. Internal to src/train/report.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace maskgrad {

/// "a, b and c".
std::string listed(const std::vector<std::string>& words);
/// "a 1; b and c 2": of phrases that may hold an "and".
std::string in_turn(const std::vector<std::string>& phrases);

/// With a capital at the beginning.
std::string capitalized(std::string text);

/// Names of the runs that have the same to be said of them, in the order of their first.
class Shared {
 public:
  void add(const std::string& text, const std::string& run) {
    auto place = std::ranges::find(all_, text, &Said::first);
    if (place == all_.end()) place = all_.insert(place, {text, {}});
    place->second.push_back(run);
  }
  /// f(text, names) for each text.
  template <class F>
  void each(F f) const {
    for (const auto& [text, names] : all_) f(text, names);
  }

 private:
  using Said = std::pair<std::string, std::vector<std::string>>;
  std::vector<Said> all_;
};

}  // namespace maskgrad
