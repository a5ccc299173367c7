#include "cli/run_folder.hpp"

#include <algorithm>
#include <cerrno>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/training_settings.hpp>

#include "cli/output.hpp"
#include "cli/recipe_data.hpp"
#include "cli/train_recipe.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

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
  check(
      name.has_value(), "run",
      "'{}' does not name its recipe: the file is damaged; each checkpoint of the run holds a copy "
      "of it, which maskgrad inspect shows",
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

// Whether the newest weights were trained with the run's settings and no others. Where config.toml
// was cut, their files know more.
bool fits_weights(const SavedRun& run, const RunPaths& paths) {
  try {
    auto file = latest_sound_checkpoint(paths.checkpoints);
    if (!file && paths.has_ended()) file = paths.model;
    if (file) settings_in(read_notes(*file), run.defaults, paths, *file);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// The steps of the newest sound checkpoint, by its name; 0: there is none.
std::int64_t steps_done(const RunPaths& paths) {
  const auto checkpoint = latest_sound_checkpoint(paths.checkpoints);
  return checkpoint ? steps_in_name(*checkpoint).value_or(0) : 0;
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

// Why a run of a recipe has no best weights.
std::string about_no_best(const SavedRun& run) {
  if (!validates(*run.recipe, run.settings)) {
    return fmt::format("only a run that validates keeps the best weights{}",
                       run.settings.has("val") ? ", such as one with --val" : "");
  }
  const std::int64_t from = run.recipe->make_model(run.settings)->best_from();
  return fmt::format(
      "its validations{} say which weights are best: there was none yet, or the file was removed",
      from > 0 ? fmt::format(" from step {} on", with_commas(from)) : "");
}

}  // namespace

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

std::vector<std::string> changes_in(const SavedRun& run, const RunPaths& paths,
                                    const FileNotes& checkpoint, const Notes& model) {
  if (const auto trained = settings_in(checkpoint.notes, run.defaults, paths, checkpoint.file)) {
    return as_stored(*trained, paths.folder).differences(as_stored(run.settings, paths.folder));
  }
  const auto trained = settings_in(model, run.defaults, paths, paths.model);
  if (!trained) return {};
  return trained->differences(of_results(run.defaults, run.settings));
}

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
    if (auto run = read_if_sound(name, paths); run && fits_weights(*run, paths)) {
      return *std::move(run);
    }
    check_recipe_in_config(paths);
    throw;
  }
}

std::string about_unended(const RunPaths& paths) {
  const std::string text = "its training has not ended yet";
  try {
    const SavedRun run = read_run(paths);
    if (!run.recipe) return text;
    const std::string command = command_to_go_on(*run.recipe, paths);
    const bool may_end = run.defaults.setting("steps").may_change;
    const std::int64_t steps = may_end ? steps_done(paths) : 0;
    const std::string end =
        steps > 0 ? fmt::format("; end it as it is with: {} --steps {}", command, steps) : "";
    return fmt::format("{}{}; go on with: {}", text, end, command);
  } catch (const Error&) {  // resuming would say what is damaged
  }
  return text;
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

TrainedRun::TrainedRun(const fs::path& folder, Weights weights, Device device,
                       std::optional<DType> dtype)
    : paths_(folder), run_(read_run_of_recipe(paths_)) {
  const fs::path& file = weights == Weights::kBest ? paths_.best : paths_.model;
  std::error_code ignored;
  if (weights == Weights::kBest) {
    check(fs::exists(file, ignored), "run", "'{}' has no best.safetensors: {}", folder.string(),
          about_no_best(run_));
  } else {
    check(paths_.has_ended(), "run", "'{}' has no model.safetensors: {}", folder.string(),
          about_unended(paths_));
  }
  const ModelFile model = load_model(file);
  run_.settings = trained_settings(run_, paths_, file, model.notes);
  const DType computed_in = dtype.value_or(dtype_from_string(settings().text("dtype")));
  as_usage([&] {
    ops::check_math_of_dtype(ops::product_math(), computed_in, "--math", "the run's dtype");
  });
  model_ = recipe().make_model(settings());
  parameters_ = std::make_unique<ParameterBuffer>(model_->module(), computed_in, 0, device);
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

}  // namespace maskgrad::apps
