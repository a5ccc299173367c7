// What a run's checkpoints and model say of it besides weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <maskgrad/train/notes.hpp>
#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// The notes that hold the settings of the run, as its config.toml does; the fingerprint of its
/// data; the steps that its schedule spans, where that shapes the learning rates; and what its
/// model counts over the steps.
inline constexpr const char* kSettingsNote = "settings";
inline constexpr const char* kDataNote = "data";
inline constexpr const char* kScheduleStepsNote = "schedule_steps";
inline constexpr const char* kCountsNote = "counts";

/// The settings in the notes of a run's file, with paths that this process can open; nothing where
/// the notes hold none. Throws Error naming `file` where they are damaged.
std::optional<Settings> settings_in(const Notes& notes, const Settings& defaults,
                                    const RunPaths& paths, const std::filesystem::path& file);

/// The number of kScheduleStepsNote; 0 where there is none. Throws Error where it is no number.
std::int64_t schedule_steps_in(const Notes& notes);

/// Where a run began with the data that it is trained on now: at its start, unless it went on with
/// others at the end of an epoch.
struct DataStart {
  std::int64_t step = 0, epoch = 0;
};
/// Throws Error for notes that hold no numbers.
DataStart data_start_in(const Notes& notes);
void add_to(Notes& notes, const DataStart& start);

}  // namespace maskgrad
