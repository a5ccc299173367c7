// Whether a run can go on with the settings that are asked for.
#pragma once

#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// The settings that the run in the folder was trained with last. They come from its newest sound
/// checkpoint. Where there is none they are `saved`, those of its config.toml.
Settings trained_with(const Settings& defaults, const RunPaths& paths, const Settings& saved);

/// Throws Error where a setting that may not change differs between `was`, from trained_with(), and
/// `now`.
void check_same_run(const Settings& was, const Settings& now, const RunPaths& paths);

}  // namespace maskgrad
