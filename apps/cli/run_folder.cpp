#include "cli/run_folder.hpp"

#include <algorithm>
#include <cerrno>

#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/training_settings.hpp>

#include "cli/output.hpp"
#include "cli/train_recipe.hpp"
#include "cli/usage.hpp"
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

// What the run was trained with counts, but for where its files are now.
Settings trained_settings(const SavedRun& run, const RunPaths& paths, const fs::path& file,
                          const Notes& notes) {
  const auto trained = settings_in(notes, run.defaults, paths, file);
  if (!trained) return run.settings;
  const Settings before = of_results(run.defaults, *trained),
                 now = of_results(run.defaults, run.settings);
  for (const std::string& line : before.differences(now)) {
    warn(fmt::format("'{}' has changed since the model was trained, which keeps its settings: {}",
                     paths.config.string(), line));
  }
  Settings settings = run.settings;
  copy_results(settings, *trained);
  return settings;
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

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& recipe : recipes()) names.push_back(recipe->name());
  return names;
}

std::string name_in_config(const RunPaths& paths) {
  std::error_code ignored;
  const bool has_former = fs::exists(paths.former, ignored);
  check(paths.is_run(), "run", "'{}' is no run folder: it has no config.toml{}",
        paths.folder.string(),
        has_former ? "; a run that was to be replaced is in it, and resuming puts it back" : "");
  const auto name = toml_text(paths.config, "recipe");
  check(name.has_value(), "run",
        "'{}' does not name its recipe: the file is damaged; the run's checkpoints hold a copy of "
        "it, which maskgrad inspect shows",
        paths.config.string());
  return *name;
}

// `recipe` is null for the run of a program of its own.
SavedRun read_as(const Recipe* recipe, const std::string& name, const RunPaths& paths) {
  const Settings defaults(recipe ? recipe->settings() : training_settings(name));
  return {name, recipe, defaults, read_saved_settings(defaults, paths)};
}

// The recipe with the settings that the file holds, whatever the file calls it; null: none.
const Recipe* recipe_of_settings(const RunPaths& paths) {
  for (const auto& recipe : recipes()) {
    std::vector<Setting> settings = recipe->settings();
    for (Setting& setting : settings) {
      if (setting.key == "recipe") setting.choices.clear();
    }
    try {
      Settings(std::move(settings)).load_saved_toml(paths.config);
      return recipe.get();
    } catch (const Error&) {  // not of this one
    }
  }
  return nullptr;
}

SavedRun read_as_program(const std::string& name, const RunPaths& paths) {
  try {
    return read_as(nullptr, name, paths);
  } catch (const Error& error) {
    throw Error(error.name(), fmt::format("{}; and there is no recipe '{}'{}", error.text(),
                                          shortened(name), did_you_mean(name, recipe_names())));
  }
}

std::optional<SavedRun> read_if_sound(const std::string& name, const RunPaths& paths) {
  try {
    return read_as(nullptr, name, paths);
  } catch (const Error&) {
    return std::nullopt;
  }
}

SavedRun read_run_of_recipe(const RunPaths& paths) {
  const char* const kOnlyTheProgram = "only that program can run its model";
  const std::string name = name_in_config(paths);
  if (!find_recipe(name)) check_recipe_in_config(paths);
  check(find_recipe(name) != nullptr, "recipe",
        "{}: there is no recipe '{}'{}; if a program of its own trained the run, {}",
        paths.config.string(), shortened(name), did_you_mean(name, recipe_names()),
        kOnlyTheProgram);
  SavedRun run = read_run(paths);
  check(run.recipe != nullptr, "recipe",
        "{}: a program of its own called this run '{}', as a recipe is called; {}",
        paths.config.string(), name, kOnlyTheProgram);
  return run;
}

}  // namespace

void check_recipe_in_config(const RunPaths& paths) {
  const Recipe* const recipe = recipe_of_settings(paths);
  if (!recipe) return;
  const std::string right = recipe->name(), name = toml_text(paths.config, "recipe").value_or("");
  check(name == right, "config",
        "'{0}' has recipe = '{1}' and the settings of the recipe {2}: write there recipe = '{2}'",
        paths.config.string(), shortened(name), right);
}

SavedRun read_run(const RunPaths& paths) {
  const std::string name = name_in_config(paths);
  const Recipe* const recipe = find_recipe(name);
  if (!recipe) return read_as_program(name, paths);
  try {
    return read_as(recipe, name, paths);
  } catch (const Error&) {
    // A program may call its run as a recipe is called.
    if (auto run = read_if_sound(name, paths)) return *std::move(run);
    check_recipe_in_config(paths);
    throw;
  }
}

void check_data_folder(const fs::path& folder, const RunPaths& paths, bool given,
                       const char* flag) {
  std::error_code error;
  if (given || fs::exists(folder, error)) return;
  if (folder == paths.own_data) {
    fail("data", "'{}', which the run made, is gone: {} names another folder", folder.string(),
         flag);
  }
  fail("data", "there is no file or folder '{}': the path stands in '{}', and {} overrides it",
       folder.string(), paths.config.string(), flag);
}

void add_best(CLI::App& command, Weights& weights) {
  command.add_flag_callback(
      "--best", [&weights] { weights = Weights::kBest; },
      "Take the best weights by validation, not the last ones");
}

void add_pad(CLI::App& command, std::int64_t& positions) {
  add_integer(command, "--pad", positions,
              "Positions of padding to add behind each sample: a mask that keeps padding out "
              "changes nothing by it");
}

void pad_inputs(TrainedRun& run, std::int64_t positions) {
  if (positions == 0) return;
  as_usage([&] {
    check(run.model().abilities().takes_padding, "usage",
          "--pad: the recipe {} does not read samples of one length", run.recipe().name());
    run.model().pad(positions);
  });
}

TrainedRun::TrainedRun(const fs::path& folder, Weights weights, std::optional<DType> dtype)
    : paths_(folder), run_(read_run_of_recipe(paths_)) {
  const fs::path& file = weights == Weights::kBest ? paths_.best : paths_.model;
  std::error_code ignored;
  if (weights == Weights::kBest) {
    check(fs::exists(file, ignored), "run",
          "'{}' has no best.safetensors: only a run that validates keeps the best weights, such as "
          "one with --val",
          folder.string());
  } else {
    check(paths_.has_ended(), "run",
          "'{}' has no model.safetensors: its training has not ended yet; go on with: {}",
          folder.string(), command_to_go_on(recipe(), paths_));
  }
  const ModelFile model = load_model(file);
  run_.settings = trained_settings(run_, paths_, file, model.notes);
  model_ = recipe().make_model(settings());
  parameters_ = std::make_unique<ParameterBuffer>(
      model_->module(), dtype.value_or(dtype_from_string(settings().text("dtype"))), 0);
  load_weights(model, file, *parameters_);
  if (const auto note = model.notes.find(kDataNote); note != model.notes.end()) {
    trained_on_ = note->second;
  }
}

std::unique_ptr<Dataset> TrainedRun::load_data(const std::string& given, const char* command,
                                               DataPart part) const {
  if (recipe().data_source() == DataSource::kDrawn) {
    check(given.empty(), command, "the recipe {} draws its data: it reads no folder",
          recipe().name());
    return recipe().load_data(settings(), {}, part);
  }
  const std::string& own = settings().text("data");
  check(
      !given.empty() || !own.empty() || recipe().data_source() != DataSource::kGiven, command,
      "'{}' has data = \"\", and the recipe {} makes no data of its own: write there what the run "
      "was trained on, or name data with --data",
      paths_.config.string(), recipe().name());
  const fs::path folder = !given.empty() ? fs::path(given)
                          : own.empty()  ? paths_.own_data
                                         : fs::path(own);
  check_data_folder(folder, paths_, !given.empty());
  if (given.empty() && part == DataPart::kHeldOut && !trained_on_.empty()) {
    const auto training = recipe().load_data(settings(), folder, DataPart::kTraining);
    check(
        training->fingerprint() == trained_on_, command,
        "the data in '{}' are others than the run was trained on, so what is held out of them may "
        "be what it has seen: --data names data to take",
        folder.string());
  }
  // A held-out set counts whole; a limit was on what the run trained on.
  std::unique_ptr<Dataset> data =
      recipe().load_data(settings(), folder, given.empty() ? part : DataPart::kAll);
  check(data->size() > 0, command, "'{}' holds no samples", folder.string());
  return data;
}

std::vector<ReportMask> TrainedRun::attention_masks() {
  const std::unique_ptr<Dataset> data = load_data("", "data");
  const std::int64_t first = 0;
  return model_->attention_masks(data->collate({&first, 1}));
}

std::vector<fs::path> runs_in(const fs::path& folder) {
  if (RunPaths(folder).is_run()) return {folder};
  std::error_code error;
  if (!fs::exists(folder, error)) fail_file("cannot read folder", folder, ENOENT);
  std::vector<fs::path> runs;
  for (const fs::path& path : list_folder(folder)) {
    const bool is_hidden = path.filename().string().starts_with('.');
    if (!is_hidden && RunPaths(path).is_run()) runs.push_back(path);
  }
  check(!runs.empty(), "run", "'{}' is no run folder, and holds none", folder.string());
  return runs;
}

void write_report(std::span<const fs::path> folders, const fs::path& out) {
  std::vector<ReportRun> runs;
  std::vector<ReferenceCurve> references;
  std::string title;
  for (const fs::path& folder : folders) {
    const SavedRun run = read_run(RunPaths(folder));
    std::vector<ReferenceCurve> of_run;
    runs.push_back(report_run(run, folder, run_name(folder, folders), of_run));
    add_references(references, std::move(of_run), runs.size() - 1);
    if (title.empty()) title = fmt::format("maskgrad: {}", run.name);
  }
  write_file(out, render_report(title, runs, references));
}

}  // namespace maskgrad::apps
