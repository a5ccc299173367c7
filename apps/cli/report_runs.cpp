#include "cli/report_runs.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/model_file.hpp>

#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/run_folder.hpp"
#include "cli/text.hpp"
#include "recipes/explain_input.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// "runs/first/" and "." have a last part too.
std::vector<fs::path> parts_of(const fs::path& folder) {
  std::error_code ignored;
  const fs::path whole = fs::absolute(folder, ignored).lexically_normal();
  const fs::path named = whole.has_filename() ? whole : whole.parent_path();
  return {named.begin(), named.end()};
}

// Runs of one name are told apart by their paths, without what these begin with alike.
std::string run_name(const fs::path& folder, std::span<const fs::path> folders) {
  const std::vector<fs::path> own = parts_of(folder);
  std::size_t alike = own.size() - 1;
  for (const fs::path& other : folders) {
    const std::vector<fs::path> parts = parts_of(other);
    if (parts.back() != own.back() || parts == own) continue;
    const auto differ = std::ranges::mismatch(own, parts);
    alike = std::min({alike, static_cast<std::size_t>(differ.in1 - own.begin()), parts.size() - 1});
  }
  fs::path name;
  for (std::size_t i = alike; i < own.size(); ++i) name /= own[i];
  return name.string();
}

// Where they cannot be drawn the report says why, and has everything else.
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

// Lines of a list; those that are no text are left out.
std::vector<std::string> texts_in(const nlohmann::ordered_json& list) {
  std::vector<std::string> texts;
  for (const auto& text : list) {
    if (text.is_string()) texts.push_back(text.get<std::string>());
  }
  return texts;
}

// Of its results.
void add_warning(ReportRun& report, const std::string& text) {
  const bool is_older = has_older_results(report);
  report.warnings.push_back(is_older ? fmt::format("after step {}: {}", *report.results_step, text)
                                     : text);
}

// Figures of its examination and warnings, where its recipe writes some when a run ends.
void read_results(ReportRun& report, const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return;
  const auto json = nlohmann::ordered_json::parse(read_file(path), nullptr, false);
  check(json.is_object(), "results", "'{}' is damaged: it holds no JSON object", path.string());
  // A count, and none beyond what an int64 holds: such a number is damaged.
  if (const auto step = json.find("step"); step != json.end() && step->is_number_unsigned()) {
    constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (step->get<std::uint64_t>() <= kMost) report.results_step = *step;
  }
  for (const auto& [name, value] : json.items()) {
    if (value.is_number() && name != "step") report.results.emplace_back(name, value.get<double>());
    if (!value.is_array()) continue;
    if (name == "warnings") {
      for (const std::string& text : texts_in(value)) add_warning(report, text);
    }
    if (name != "choices") continue;
    for (const auto& row : value) report.choices.push_back(texts_in(row));
  }
}

void add_results(ReportRun& report, TrainedRun& run) {
  try {
    read_results(report, run.paths().results);
    report.kept = run.model().kept_inputs();
  } catch (const Error& error) {
    report.warnings.push_back(
        fmt::format("its results are not shown: {}: {}", error.name(), error.text()));
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

// Where the figures of a run are that its recipe keeps data for; "" where it keeps none.
std::string about_held_out(const TrainedRun& run) {
  if (!run.recipe().holds_out(run.settings())) return "";
  const fs::path& folder = run.paths().folder;
  std::error_code ignored;
  const bool has_table = fs::exists(folder / "eval.txt", ignored);
  return fmt::format("{} eval {} measures what was kept from training{}.", program_word(),
                     shell_word(folder.string()),
                     has_table ? ", and eval.txt in that folder holds what it has said" : "");
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

// The model was trained with the settings that shape results, and has said so where config.toml has
// others. Of the rest the checkpoints hold a copy.
void add_changes(ReportRun& report, const SavedRun& trained, const RunPaths& paths) {
  std::vector<std::string> told_already;
  const FileNotes checkpoint = newest_notes(paths.folder, told_already);
  for (const std::string& change : changes_in(trained, paths, checkpoint, {})) {
    report.warnings.push_back(fmt::format("{} has changed since the run was trained: {}",
                                          paths.config.filename().string(), change));
    warn(fmt::format("report: '{}': {}", paths.folder.string(), report.warnings.back()));
  }
}

// Only the program that trained a run without a recipe knows its masks.
ReportRun report_run(const SavedRun& saved, const fs::path& folder, const std::string& name,
                     std::vector<ReferenceCurve>& references) {
  ReportRun report = load_report_run(folder, name);
  report.task = saved.name;
  Settings settings = saved.settings;
  if (saved.recipe) {
    TrainedRun run(folder);
    add_masks(report, run);
    add_explained(report, run);
    add_results(report, run);
    report.examples = examples_of(run);
    report.held_out = about_held_out(run);
    settings = run.settings();
    add_changes(report, {saved.name, saved.recipe, saved.defaults, settings}, run.paths());
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
  for (const fs::path& folder : folders) {
    try {
      const SavedRun run = read_run(RunPaths(folder));
      std::vector<ReferenceCurve> of_run;
      runs.push_back(report_run(run, folder, run_name(folder, folders), of_run));
      add_references(references, std::move(of_run), runs.size() - 1);
    } catch (const Error& error) {
      if (folders.size() == 1) throw;
      damaged.push_back(
          fmt::format("'{}' is left out: {}: {}", folder.string(), error.name(), error.text()));
    }
  }
  check(!runs.empty(), "report", "no run can be read: {}", fmt::join(damaged, "; "));
  notes.insert(notes.end(), damaged.begin(), damaged.end());
  write_file(out, render_report(report_title(runs), runs, references, notes));
  return damaged;
}

}  // namespace maskgrad::apps
