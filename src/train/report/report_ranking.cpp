#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/report_columns.hpp>
#include <maskgrad/train/report/report_words.hpp>

namespace maskgrad {
namespace {

using RunList = std::vector<const ReportRun*>;

/// A run's last value of a metric.
struct LastValue {
  std::string run;
  double value;
};

/// On validation data, or of a whole epoch in training; nothing where there is none, or no number.
std::optional<double> last_to_rank(const ReportRun& run, const std::string& metric,
                                   bool in_validation) {
  if (in_validation) return last_in_validation(run, metric);
  const TrainingFigures figures = training_figures(run, metric);
  return figures.steps_in_part == 0 ? last_of(figures.values) : std::nullopt;
}

/// "key 1.4381; query and none 1.4510 (+0.0129)".
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
  return groups.size() == 1 ? "the same for " + groups.front() : in_turn(groups);
}

/// The settings whose values are not the same in all runs.
std::vector<std::string> differing_settings(const RunList& runs) {
  std::vector<std::string> keys;
  const auto value_of = [](const ReportRun& run, const std::string& key) {
    const auto found = std::ranges::find(run.settings, key, [](const auto& s) { return s.first; });
    return found == run.settings.end() ? std::string() : found->second;
  };
  for (const ReportRun* run : runs) {
    for (const auto& setting : run->settings) {
      const std::string& key = setting.first;
      const bool differs = std::ranges::any_of(
          runs, [&](const ReportRun* other) { return value_of(*other, key) != setting.second; });
      if (differs && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    }
  }
  return keys;
}

std::string what_differs(const RunList& runs, const std::string& whose) {
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

std::vector<std::string> names_of(const RunList& runs) {
  std::vector<std::string> names;
  for (const ReportRun* run : runs) names.push_back(run->name);
  return names;
}

/// The runs of each task, in the order of their first.
std::vector<RunList> by_task(const ReportContent& content) {
  std::vector<RunList> tasks;
  for (const ReportRun& run : content.runs) {
    auto task = std::ranges::find_if(
        tasks, [&](const RunList& other) { return other.front()->task == run.task; });
    if (task == tasks.end()) task = tasks.insert(task, RunList());
    task->push_back(&run);
  }
  return tasks;
}

/// That runs of different tasks are not ranked among each other.
std::string about_tasks(const std::vector<RunList>& tasks) {
  std::vector<std::string> parts;
  for (const RunList& runs : tasks) {
    parts.push_back(fmt::format("{} ({})", listed(names_of(runs)), runs.front()->task));
  }
  return fmt::format("Runs of different tasks are not ranked among each other: {}.",
                     in_turn(parts));
}

/// Which of the runs are known to have learned from, or to have been measured on, different data;
/// "" where none are. Data that runs draw by their seeds differ, too, and so these are ranked.
std::string about_data(const RunList& runs, bool in_validation) {
  Shared by_data;
  for (const ReportRun* run : runs) {
    const std::string& data = in_validation ? run->validation_data : run->training_data;
    if (!data.empty()) by_data.add(data, run->name);
  }
  std::vector<std::string> parts;
  by_data.each([&](const std::string&, const std::vector<std::string>& names) {
    parts.push_back(listed(names));
  });
  if (parts.size() < 2) return "";
  return fmt::format("{} on different data: {}. Part of a difference may come from that.",
                     in_validation ? "Validated" : "Trained", in_turn(parts));
}

/// The means that stand for no whole epoch.
std::vector<std::string> about_parts(const RunList& runs) {
  std::vector<std::string> sentences;
  for (const ReportRun* run : runs) {
    const std::int64_t steps = steps_in_part(run->epochs);
    if (steps == 0) continue;
    const bool has_whole = run->epochs.size() > 1;
    sentences.push_back(
        fmt::format("{} ended within an epoch: its last training figures are the mean of {}{}.",
                    run->name, count_of(steps, "step"),
                    has_whole ? "; the epoch before counts here" : ", and do not count here"));
  }
  return sentences;
}

/// The sentences about the runs of one task.
class Ranking {
 public:
  explicit Ranking(const RunList& runs) : runs_(runs) {}

  void add(const std::string& metric) {
    for (const bool in_validation : {true, false}) {
      uses_training_ = uses_training_ || !in_validation;
      std::vector<LastValue> all;
      RunList ranked;
      for (const ReportRun* run : runs_) {
        const auto last = last_to_rank(*run, metric, in_validation);
        if (!last) continue;
        all.push_back({run->name, *last});
        ranked.push_back(run);
      }
      if (all.size() < 2) continue;
      ranked_.push_back(fmt::format("{} {} at the end, the best first: {}.",
                                    in_validation ? "Validation" : "Training", metric,
                                    ranking(all, is_share(metric))));
      const std::string data = about_data(ranked, in_validation);
      const bool is_new = std::ranges::find(data_, data) == data_.end();
      if (!data.empty() && is_new) data_.push_back(data);
      return;
    }
  }

  std::vector<std::string> sentences(const std::string& whose) const {
    std::vector<std::string> all = ranked_;
    if (uses_training_) std::ranges::copy(about_parts(runs_), std::back_inserter(all));
    std::ranges::copy(data_, std::back_inserter(all));
    if (!ranked_.empty()) all.push_back(what_differs(runs_, whose));
    return all;
  }

 private:
  const RunList& runs_;
  std::vector<std::string> ranked_, data_;
  bool uses_training_ = false;
};

}  // namespace

std::vector<std::string> about_runs(const ReportContent& content,
                                    const std::vector<std::string>& metrics) {
  const std::vector<RunList> tasks = by_task(content);
  std::vector<std::string> all;
  for (const RunList& runs : tasks) {
    if (runs.size() < 2) continue;
    Ranking ranking(runs);
    for (const std::string& metric : metrics) {
      // Of another metric nobody knows what is better.
      if (metric == metrics.front() || is_share(metric)) ranking.add(metric);
    }
    const std::string whose = tasks.size() == 1 ? "The runs" : listed(names_of(runs));
    std::ranges::copy(ranking.sentences(whose), std::back_inserter(all));
  }
  if (tasks.size() > 1) all.push_back(about_tasks(tasks));
  return all;
}

}  // namespace maskgrad
