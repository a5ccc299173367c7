// Settings of a run, in memory and in its files.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <maskgrad/train/optim/optimizer.hpp>
#include <maskgrad/train/optim/schedule.hpp>
#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// The folder that the settings name, or runs/<name>.
std::filesystem::path run_folder(const std::string& name, const Settings& settings);

/// `path` from the root, and without symbolic links as far as it is there.
std::filesystem::path resolved_path(const std::filesystem::path& path);

/// `path` relative to `folder` where it leads into it, links resolved; empty elsewhere.
std::filesystem::path path_within(const std::filesystem::path& path,
                                  const std::filesystem::path& folder);

/// With each path as the run's files hold it: relative to the run's folder where it leads into it,
/// else absolute. So a run works from anywhere, and its folder can be moved.
Settings as_stored(const Settings& settings, const std::filesystem::path& run);
/// The inverse: with each path as this process can open it.
Settings as_used(const Settings& settings, const std::filesystem::path& run);

/// The settings in a run's config.toml, with paths that this process can open. Throws Error for a
/// run of something else than `defaults` are of, too.
Settings read_saved_settings(const Settings& defaults, const RunPaths& paths);

/// Copies the settings that shape the results. No path does: what stands in a file counts, not
/// where it is.
void copy_results(Settings& to, const Settings& from);
/// Those that shape the results; the others as `defaults` have them. Equal runs have equal ones.
Settings of_results(const Settings& defaults, const Settings& settings);

/// The schedule of the learning rate that the settings name.
Schedule schedule_of(const Settings& settings);

/// The groups that the settings' optimizer wants: adamw takes its weight decay from matrices alone.
std::vector<ParameterGroup> parameter_groups(const Settings& settings);

/// The optimizer that the settings name.
std::unique_ptr<Optimizer> make_optimizer(const Settings& settings,
                                          const ParameterBuffer& parameters);

}  // namespace maskgrad
