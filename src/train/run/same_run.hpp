// Whether a run can go on with the settings that are asked for.
#pragma once

#include <functional>

#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// Settings that the run in the folder can go on with: those that `ask` makes of what its
/// config.toml holds. Throws UsageError where that is damaged, where `ask` throws, and where a
/// setting that may not change is another than the run was trained with. Throws Error where the
/// run's newest checkpoint is damaged.
Settings settings_to_go_on(const Settings& defaults, const RunPaths& paths,
                           const std::function<Settings(const Settings& saved)>& ask);

}  // namespace maskgrad
