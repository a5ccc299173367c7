// Words that the sentences of a report share. Internal to src/train/report.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/train/report/report_columns.hpp>

namespace maskgrad {

/// A metric of a run by epoch: on validation data, or the means of whole epochs in training.
std::map<double, double> figures_of(const ReportRun& run, const std::string& metric,
                                    bool in_validation);

/// The last value where it is finite.
std::optional<double> last_of(const std::map<double, double>& values);

/// "a, b and c".
std::string listed(const std::vector<std::string>& words);
/// "a 1; b and c 2": of phrases that may hold an "and".
std::string in_turn(const std::vector<std::string>& phrases);

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

/// How the runs end beside each other, a sentence each: on validation data where two have some,
/// else in training. Runs of different tasks are not ranked among each other, nor is the mean of a
/// part of an epoch. Where the runs of a task are known to have different data, a sentence says so.
std::vector<std::string> about_runs(const ReportContent& content,
                                    const std::vector<std::string>& metrics);

}  // namespace maskgrad
