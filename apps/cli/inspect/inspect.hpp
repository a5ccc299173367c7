// What maskgrad inspect prints of each kind of file and folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <maskgrad/train/report/report_run.hpp>

namespace maskgrad::apps {

/// A file or folder of any of the kinds below.
void inspect_path(const std::filesystem::path& path);

// Each prints one thing. They throw Error for what cannot be read, and for files that are damaged
// where nothing of them can be trusted.
void inspect_safetensors(const std::filesystem::path& file);
/// The same, without the notes of settings: for a file of a run whose settings were shown.
void inspect_model_of_run(const std::filesystem::path& file);
void inspect_records(const std::filesystem::path& file);
void inspect_events(const std::filesystem::path& file);
void inspect_run(const std::filesystem::path& folder);
/// A folder of shards, of event files, of safetensors files, or of folders of these and of runs.
void inspect_folder(const std::filesystem::path& folder);

/// The rows of a run's table of epochs, and of a part of one behind them, as its checkpoints and
/// model tell. None where there is no table.
std::vector<EpochRow> epochs_of(const std::filesystem::path& run, const FileNotes& checkpoint,
                                const Notes& model);

/// The tags of these events with their last values, as a table.
std::string series_table(const std::vector<Event>& events);

}  // namespace maskgrad::apps
