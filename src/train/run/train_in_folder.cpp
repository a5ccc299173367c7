#include <utility>

#include <maskgrad/train/run/as_usage.hpp>
#include <maskgrad/train/run/run_words.hpp>
#include <maskgrad/train/run/same_run.hpp>
#include <maskgrad/train/run/train_in_folder.hpp>
#include <maskgrad/train/run/training_run.hpp>
#include <maskgrad/train/run/training_settings.hpp>

namespace maskgrad {
namespace {

Settings checked_settings(const TrainingOptions& options) {
  check(!options.folder.empty(), "train", "folder is empty: name one for the files of the run");
  check(!options.resume || !options.force, "train", "resume and force contradict each other");
  Settings settings = settings_of(options);
  check_training_settings(settings, options.validation != nullptr);
  return settings;
}

// With a run there, or one that was broken off before it saved anything.
FolderClaim claim_folder(const RunPaths& paths, bool resume) {
  using Purpose = FolderClaim::Purpose;
  return FolderClaim(paths, resume && paths.is_run() ? Purpose::kResume : Purpose::kNewRun);
}

// A data set that the caller owns.
LoadData borrow(const Dataset& data, const char* name) {
  return [&data, name] {
    check(data.size() > 0, "data",
          "the {} data hold no samples, size() is 0: check that the file or folder they come from "
          "was found, and is not empty",
          name);
    return std::shared_ptr<const Dataset>(std::shared_ptr<void>(), &data);
  };
}

}  // namespace

RunEnd train_in_folder(Module& module, const Model& model, const Dataset& data,
                       const TrainingOptions& options,
                       std::vector<std::unique_ptr<Callback>> callbacks) {
  Settings settings = as_usage([&] { return checked_settings(options); });
  const Settings defaults(training_settings(options.name));
  const RunPaths paths(options.folder);
  if (!options.step_log.empty()) check_is_no_file_of(paths, options.step_log, "train");
  FolderClaim claim = claim_folder(paths, options.resume);
  const bool goes_on = options.resume && paths.is_run();
  settings.set("resume", goes_on ? "true" : "false", "options");
  // The options count whole: a run that goes on takes nothing from its config.toml.
  if (goes_on) {
    settings = settings_to_go_on(defaults, paths, [&](const Settings&) { return settings; });
  }
  RunParts parts = {.name = options.name,
                    .defaults = defaults,
                    .module = module,
                    .model = model,
                    .data = {.training = borrow(data, "training")},
                    .warn = options.warn};
  if (options.validation) parts.data.validation = borrow(*options.validation, "validation");
  TrainingRun run(std::move(parts), settings, claim);
  for (auto& callback : callbacks) run.trainer().add(std::move(callback));
  static const std::atomic<bool> kNever = false;
  return run.run(options.stop ? *options.stop : kNever);
}

}  // namespace maskgrad
