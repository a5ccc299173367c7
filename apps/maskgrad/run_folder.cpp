#include "run_folder.hpp"

#include <algorithm>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/model_file.hpp>

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// "runs/first/" and "." have a last part too. Runs of one name are told apart by their paths.
std::string run_name(const fs::path& folder, std::span<const fs::path> folders) {
  const auto last_part = [](const fs::path& path) {
    const fs::path whole = fs::absolute(path).lexically_normal();
    return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  };
  const std::string name = last_part(folder);
  const auto namesakes = std::count_if(folders.begin(), folders.end(), [&](const fs::path& other) {
    return last_part(other) == name;
  });
  return namesakes > 1 ? folder.string() : name;
}

fs::path data_folder_of(const RunPaths& paths, const Settings& settings) {
  const std::string& data = settings.text("data");
  return data.empty() ? paths.own_data : fs::path(data);
}

// The masks on the first sample; none where the data is gone, without which a report is one still.
std::vector<ReportMask> masks_of(const RunPaths& paths, const RunConfig& config) {
  try {
    const fs::path folder = data_folder_of(paths, config.settings);
    const SequenceDataset data = config.recipe.load_data(config.settings, folder);
    const std::int64_t first = 0;
    return data.size() == 0 ? std::vector<ReportMask>()
                            : config.recipe.make_model(config.settings)
                                  ->attention_masks(data.collate({&first, 1}));
  } catch (const Error&) {
    return {};
  }
}

ReportRun report_run(const fs::path& folder, const std::string& name) {
  const RunPaths paths(folder);
  const RunConfig config = read_config(paths);
  ReportRun run = load_report_run(folder, name);
  run.masks = masks_of(paths, config);
  for (const Setting& setting : config.settings.all()) {
    if (setting.saved) run.settings.emplace_back(setting.key, to_string(setting.value));
  }
  return run;
}

}  // namespace

RunConfig read_config(const RunPaths& paths) {
  check(paths.is_run(), "run", "'{}' is no run folder: it has no config.toml",
        paths.folder.string());
  const auto name = toml_text(paths.config, "recipe");
  check(name.has_value(), "run", "'{}' does not name its recipe", paths.config.string());
  const Recipe& recipe = find_recipe(*name);
  Settings settings(recipe.settings());
  settings.load_saved_toml(paths.config);
  return {recipe, std::move(settings)};
}

TrainedRun::TrainedRun(const fs::path& folder, std::optional<DType> dtype)
    : paths_(folder), config_(read_config(paths_)) {
  check(paths_.has_ended(), "run", "'{}' has no model.safetensors: its training has not ended yet",
        folder.string());
  model_ = config_.recipe.make_model(config_.settings);
  parameters_ = std::make_unique<ParameterBuffer>(
      model_->module(), dtype.value_or(dtype_from_string(config_.settings.text("dtype"))), 0);
  load_weights(paths_.model, *parameters_);
}

SequenceDataset TrainedRun::load_data(const std::string& folder, const char* command) const {
  const fs::path path = folder.empty() ? data_folder_of(paths_, settings()) : fs::path(folder);
  Settings which = settings();
  // A held-out set counts whole; the limit was on what the run trained on.
  if (!folder.empty()) which.set("shards", "0", command);
  SequenceDataset data = recipe().load_data(which, path);
  check(data.size() > 0, command, "'{}' holds no samples", path.string());
  return data;
}

void load_weights(const fs::path& path, ParameterBuffer& parameters) {
  const ModelFile model = load_model(path);
  try {
    parameters.load(model.tensors);
  } catch (const Error& error) {
    fail("weights", "'{}' does not fit the model: {}", path.string(), error.text());
  }
}

std::vector<fs::path> runs_in(const fs::path& folder) {
  if (RunPaths(folder).is_run()) return {folder};
  std::vector<fs::path> runs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (RunPaths(entry.path()).is_run()) runs.push_back(entry.path());
  }
  if (error) fail_file("cannot read folder", folder, error.value());
  check(!runs.empty(), "run", "'{}' is no run folder, and holds none", folder.string());
  std::sort(runs.begin(), runs.end());
  return runs;
}

void write_report(std::span<const fs::path> folders, const fs::path& out) {
  std::vector<ReportRun> runs;
  std::vector<ReferenceCurve> references;
  std::string title;
  for (const fs::path& folder : folders) {
    const Recipe& recipe = read_config(RunPaths(folder)).recipe;
    runs.push_back(report_run(folder, run_name(folder, folders)));
    if (title.empty()) {
      title = fmt::format("maskgrad: {}", recipe.name());
      references = recipe.references();
    }
  }
  write_file(out, render_report(title, runs, references));
}

}  // namespace maskgrad::apps
