#include "cli/report_runs.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/model_file.hpp>

#include "cli/output.hpp"
#include "cli/run_folder.hpp"
#include "recipes/explain_input.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// "runs/first/" and "." have a last part too. Runs of one name are told apart by their paths.
std::string run_name(const fs::path& folder, std::span<const fs::path> folders) {
  const auto last_part = [](const fs::path& path) {
    std::error_code ignored;
    const fs::path whole = fs::absolute(path, ignored).lexically_normal();
    return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  };
  const std::string name = last_part(folder);
  const auto namesakes = std::count_if(folders.begin(), folders.end(), [&](const fs::path& other) {
    return last_part(other) == name;
  });
  return namesakes > 1 ? folder.string() : name;
}

// A report without them is one still, and says why.
void add_masks(ReportRun& report, TrainedRun& run) {
  try {
    report.masks = run.attention_masks();
  } catch (const Error& error) {
    report.warnings.push_back(
        fmt::format("its masks are not drawn: {}: {}", error.name(), error.text()));
    warn(fmt::format("report: '{}': {}", run.paths().folder.string(), report.warnings.back()));
  }
}

// One input, if the recipe names one.
void add_explained(ReportRun& report, TrainedRun& run) {
  const std::string text = run.model().sample_text();
  if (text.empty()) return;
  try {
    report.explained = std::make_shared<const ExplainedInput>(explain_input(run.model(), text));
  } catch (const Error& error) {
    report.warnings.push_back(
        fmt::format("no input is explained: {}: {}", error.name(), error.text()));
  }
}

// The answers of its model to the recipe's questions.
std::vector<ReportExample> examples_of(TrainedRun& run) {
  std::vector<ReportExample> examples;
  for (const Question& question : run.recipe().questions(run.settings())) {
    ReportExample example{.question = question.text, .right = question.answer, .answers = {}};
    try {
      const Prediction prediction = run.model().predict(question.text, {.probabilities = true});
      for (const auto& [text, probability] : prediction.answers) {
        example.answers.push_back({text, probability});
      }
    } catch (const Error&) {  // the model has no answer, and the report says so
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

// Of the first epoch; 0 where it did not end.
std::int64_t steps_in_epoch(const ReportRun& run) {
  if (run.epochs.empty() || find_value(run.epochs.front(), "epoch") != 1.0) return 0;
  return static_cast<std::int64_t>(find_value(run.epochs.front(), "steps").value_or(0));
}

// Each curve once, with the places of the runs that it is compared with.
void add_references(std::vector<ReferenceCurve>& all, std::vector<ReferenceCurve> of_run,
                    std::size_t place) {
  for (ReferenceCurve& curve : of_run) {
    auto same = std::ranges::find_if(all, [&](const ReferenceCurve& other) {
      return other.name == curve.name && other.metric == curve.metric;
    });
    if (same == all.end()) same = all.insert(same, std::move(curve));
    same->runs.push_back(place);
  }
}

// Only the program that trained a run without a recipe knows its masks.
ReportRun report_run(const SavedRun& saved, const fs::path& folder, const std::string& name,
                     std::vector<ReferenceCurve>& references) {
  ReportRun report = load_report_run(folder, name);
  Settings settings = saved.settings;
  if (saved.recipe) {
    TrainedRun run(folder);
    add_masks(report, run);
    add_explained(report, run);
    report.examples = examples_of(run);
    settings = run.settings();
    references = run.recipe().references(settings, steps_in_epoch(report));
  } else {
    const RunPaths paths(folder);
    settings = trained_settings(saved, paths, paths.model, load_model(paths.model).notes);
  }
  for (const Setting& setting : settings.all()) {
    if (setting.saved) report.settings.emplace_back(setting.key, to_string(setting.value));
  }
  return report;
}

}  // namespace

std::vector<std::string> write_report(std::span<const fs::path> folders, const fs::path& out,
                                      std::vector<std::string> notes) {
  std::vector<ReportRun> runs;
  std::vector<ReferenceCurve> references;
  std::vector<std::string> damaged;
  std::string title;
  for (const fs::path& folder : folders) {
    try {
      const SavedRun run = read_run(RunPaths(folder));
      std::vector<ReferenceCurve> of_run;
      runs.push_back(report_run(run, folder, run_name(folder, folders), of_run));
      add_references(references, std::move(of_run), runs.size() - 1);
      if (title.empty()) title = fmt::format("maskgrad: {}", run.name);
    } catch (const Error& error) {
      if (folders.size() == 1) throw;
      damaged.push_back(
          fmt::format("'{}' is left out: {}: {}", folder.string(), error.name(), error.text()));
    }
  }
  check(!runs.empty(), "report", "no run can be read: {}", fmt::join(damaged, "; "));
  notes.insert(notes.end(), damaged.begin(), damaged.end());
  write_file(out, render_report(title, runs, references, notes));
  return damaged;
}

}  // namespace maskgrad::apps
