#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>
#include <maskgrad/train/run/run_settings.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

// The settings with `map` done to each path among those that are saved.
template <class F>
Settings with_paths(const Settings& settings, F map) {
  Settings mapped = settings;
  for (const Setting& setting : settings.all()) {
    if (!setting.saved || setting.path == PathTo::kNothing) continue;
    const std::string& text = settings.text(setting.key);
    if (!text.empty()) mapped.set(setting.key, map(fs::path(text)).string(), setting.key);
  }
  return mapped;
}

fs::path absolute_path(const fs::path& path) {
  std::error_code error;
  const fs::path result = fs::absolute(path, error);
  check(!error, "train", "cannot tell where '{}' is: {}", path.string(), error.message());
  return result.lexically_normal();
}

}  // namespace

fs::path resolved_path(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(absolute_path(path), error);
  return error ? absolute_path(path) : result;
}

fs::path run_folder(const std::string& name, const Settings& settings) {
  const std::string& out = settings.text("out");
  return out.empty() ? fs::path("runs") / name : fs::path(out);
}

fs::path path_within(const fs::path& path, const fs::path& folder) {
  const fs::path within = resolved_path(path).lexically_relative(resolved_path(folder));
  return within.empty() || *within.begin() == ".." ? fs::path() : within;
}

Settings as_stored(const Settings& settings, const fs::path& run) {
  return with_paths(settings, [&](const fs::path& path) {
    const fs::path within = path_within(path, run);
    return within.empty() ? absolute_path(path) : within;
  });
}

Settings as_used(const Settings& settings, const fs::path& run) {
  return with_paths(settings, [&](const fs::path& path) { return run / path; });
}

Settings read_saved_settings(const Settings& defaults, const RunPaths& paths) {
  Settings settings = defaults;
  settings.load_saved_toml(paths.config);
  return as_used(settings, paths.folder);
}

void copy_results(Settings& to, const Settings& from) {
  for (const Setting& setting : from.all()) {
    const bool is_place = setting.path != PathTo::kNothing;
    if (setting.saved && setting.shapes_results && !is_place) to.copy(setting.key, from);
  }
}

Settings of_results(const Settings& defaults, const Settings& settings) {
  Settings result = defaults;
  copy_results(result, settings);
  return result;
}

Schedule schedule_of(const Settings& settings) {
  return {.kind = schedule_from_string(settings.text("schedule")),
          .warmup_steps = settings.integer("warmup_steps"),
          .decay_share = settings.real("decay_share")};
}

std::vector<ParameterGroup> parameter_groups(const Settings& settings) {
  if (settings.text("optimizer") != "adamw") return {};
  return {{.name = "decay", .owns = is_matrix, .weight_decay = settings.real("weight_decay")},
          {.name = "no decay", .owns = is_any}};
}

std::unique_ptr<Optimizer> make_optimizer(const Settings& settings,
                                          const ParameterBuffer& parameters) {
  const std::string& name = settings.text("optimizer");
  if (name == "sgd") return std::make_unique<Sgd>(parameters, settings.real("momentum"));
  Adam::Options options = {.beta2 = settings.real("beta2")};
  if (name != "adam") options.form = Adam::Form::kPyTorch;
  if (name == "adamw") options.eps = 1e-8;  // as torch.optim.AdamW
  return std::make_unique<Adam>(parameters, options);
}

}  // namespace maskgrad
