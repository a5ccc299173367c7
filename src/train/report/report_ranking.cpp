#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/report_words.hpp>

namespace maskgrad {
namespace {

using Runs = std::vector<const ReportRun*>;

/// A run's last value of a metric.
struct LastValue {
  std::string run;
  double value;
};

/// "key is first, query and none are 0.0129 behind".
std::string ranking(std::vector<LastValue> all, bool larger_is_better) {
  std::ranges::stable_sort(all, [&](const LastValue& a, const LastValue& b) {
    return larger_is_better ? a.value > b.value : a.value < b.value;
  });
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < all.size();) {
    std::vector<std::string> names;
    const double value = all[i].value;
    for (; i < all.size() && all[i].value == value; ++i) names.push_back(all[i].run);
    std::string text = fmt::format("{} {}", listed(names), format_number(value));
    if (!groups.empty()) {
      text += fmt::format(" ({})", format_difference(value - all.front().value));
    }
    groups.push_back(text);
  }
  return groups.size() == 1 ? "the same for " + groups.front() : listed(groups);
}

/// The settings whose values are not the same in all runs.
std::vector<std::string> differing_settings(const Runs& runs) {
  std::vector<std::string> keys;
  const auto value_of = [](const ReportRun& run, const std::string& key) {
    const auto found = std::ranges::find(run.settings, key, [](const auto& s) { return s.first; });
    return found == run.settings.end() ? std::string() : found->second;
  };
  for (const ReportRun* run : runs) {
    for (const auto& [key, value] : run->settings) {
      const bool differs = std::ranges::any_of(
          runs, [&](const ReportRun* other) { return value_of(*other, key) != value; });
      if (differs && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    }
  }
  return keys;
}

std::string what_differs(const Runs& runs, const std::string& whose) {
  const std::vector<std::string> keys = differing_settings(runs);
  if (keys.empty()) return fmt::format("{} have equal settings.", whose);
  std::string text = fmt::format("{} differ in {}.", whose, listed(keys));
  if (keys.size() > 1 || keys.front() != "seed") {
    text +=
        " Where there is one run of each kind, a difference may be that of their random "
        "numbers: runs of several seeds tell.";
  }
  return text;
}

std::vector<std::string> names_of(const Runs& runs) {
  std::vector<std::string> names;
  for (const ReportRun* run : runs) names.push_back(run->name);
  return names;
}

/// What its figures were measured on; "" where that is not known.
const std::string& data_of(const ReportRun& run, bool in_validation) {
  return in_validation ? run.validation_data : run.training_data;
}

/// Those of one task whose figures were measured on the same data, in the order of their first.
std::vector<Runs> comparable(const Runs& runs, bool in_validation) {
  std::vector<Runs> groups;
  for (const ReportRun* run : runs) {
    auto group = std::ranges::find_if(groups, [&](const Runs& other) {
      return other.front()->task == run->task &&
             data_of(*other.front(), in_validation) == data_of(*run, in_validation);
    });
    if (group == groups.end()) group = groups.insert(group, Runs());
    group->push_back(run);
  }
  return groups;
}

Runs runs_with(const ReportContent& content, const std::string& metric, bool in_validation) {
  Runs runs;
  for (const ReportRun& run : content.runs) {
    if (last_of(figures_of(run, metric, in_validation))) runs.push_back(&run);
  }
  return runs;
}

/// That runs of different tasks are not ranked among each other; "" where there is one task.
std::string about_tasks(const ReportContent& content) {
  Shared by_task;
  for (const ReportRun& run : content.runs) by_task.add(run.task, run.name);
  std::vector<std::string> tasks;
  by_task.each([&](const std::string& task, const std::vector<std::string>& names) {
    tasks.push_back(fmt::format("{} ({})", listed(names), task));
  });
  if (tasks.size() < 2) return "";
  return fmt::format("Runs of different tasks are not ranked among each other: {}.",
                     fmt::join(tasks, "; "));
}

/// The same of runs of one task whose figures were measured on different data.
std::vector<std::string> about_data(const std::vector<Runs>& groups, bool in_validation) {
  std::vector<std::string> sentences;
  Shared by_task;
  for (const Runs& group : groups) by_task.add(group.front()->task, listed(names_of(group)));
  by_task.each([&](const std::string&, const std::vector<std::string>& parts) {
    if (parts.size() < 2) return;
    sentences.push_back(
        fmt::format("Runs that were {} on different data are not ranked among each other: {}.",
                    in_validation ? "validated" : "trained", fmt::join(parts, "; ")));
  });
  return sentences;
}

/// The means that stand for no whole epoch.
std::vector<std::string> about_parts(const ReportContent& content) {
  std::vector<std::string> sentences;
  for (const ReportRun& run : content.runs) {
    const std::int64_t steps = steps_in_part(run.epochs);
    if (steps == 0) continue;
    const bool has_whole = run.epochs.size() > 1;
    sentences.push_back(fmt::format(
        "{} ended within an epoch: its last training figures are the mean of {}{}.", run.name,
        count_of(steps, "step"),
        has_whole ? ", and those of the epoch before are ranked" : ", and are not ranked"));
  }
  return sentences;
}

/// The sentences of one metric, and what was ranked and what was not.
class Ranking {
 public:
  void add(const ReportContent& content, const std::string& metric) {
    for (const bool in_validation : {true, false}) {
      uses_training_ = uses_training_ || !in_validation;
      const Runs runs = runs_with(content, metric, in_validation);
      if (runs.size() < 2) continue;
      const std::vector<Runs> groups = comparable(runs, in_validation);
      for (const Runs& group : groups) rank(group, metric, in_validation);
      for (const std::string& text : about_data(groups, in_validation)) add_once(apart_, text);
      return;
    }
  }

  std::vector<std::string> sentences(const ReportContent& content) const {
    std::vector<std::string> all = ranked_;
    if (uses_training_) std::ranges::copy(about_parts(content), std::back_inserter(all));
    const std::string tasks = about_tasks(content);
    if (!tasks.empty()) all.push_back(tasks);
    std::ranges::copy(apart_, std::back_inserter(all));
    if (tasks.empty() && apart_.empty() && !ranked_.empty()) {
      Runs runs;
      for (const ReportRun& run : content.runs) runs.push_back(&run);
      all.push_back(what_differs(runs, "The runs"));
      return all;
    }
    for (const Runs& group : groups_) all.push_back(what_differs(group, listed(names_of(group))));
    return all;
  }

 private:
  void rank(const Runs& group, const std::string& metric, bool in_validation) {
    if (group.size() < 2) return;
    std::vector<LastValue> all;
    for (const ReportRun* run : group) {
      all.push_back({run->name, *last_of(figures_of(*run, metric, in_validation))});
    }
    ranked_.push_back(fmt::format("{} {} at the end, the best first: {}.",
                                  in_validation ? "Validation" : "Training", metric,
                                  ranking(all, is_share(metric))));
    const bool is_known = std::ranges::any_of(groups_, [&](const Runs& other) {
      return std::ranges::all_of(group, [&](const ReportRun* run) {
        return std::ranges::find(other, run) != other.end();
      });
    });
    if (!is_known) groups_.push_back(group);
  }

  static void add_once(std::vector<std::string>& all, const std::string& text) {
    if (std::ranges::find(all, text) == all.end()) all.push_back(text);
  }

  std::vector<std::string> ranked_, apart_;
  std::vector<Runs> groups_;
  bool uses_training_ = false;
};

}  // namespace

std::vector<std::string> about_runs(const ReportContent& content,
                                    const std::vector<std::string>& metrics) {
  Ranking ranking;
  for (const std::string& metric : metrics) {
    // Of another metric nobody knows what is better.
    if (metric == metrics.front() || is_share(metric)) ranking.add(content, metric);
  }
  return ranking.sentences(content);
}

}  // namespace maskgrad
