// Whether a run can go on with the settings that are asked for.
#pragma once

#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// What the run in the folder was trained with last: by its newest sound checkpoint, and by its
/// config.toml, which is `saved`, where it has none.
Settings trained_with(const Settings& defaults, const RunPaths& paths, const Settings& saved);

/// Throws Error where a setting that may not change differs: `was` trained_with() the one value,
/// and `now` has the other.
void check_same_run(const Settings& was, const Settings& now, const RunPaths& paths);

}  // namespace maskgrad
