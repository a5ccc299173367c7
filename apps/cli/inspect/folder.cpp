// Folders that are no run: of data, logs, weights, or of other folders.
#include <algorithm>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/shards.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/safetensors.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/run/run_paths.hpp>

#include "cli/inspect/inspect.hpp"
#include "cli/output.hpp"
#include "cli/run_folder.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;
using Rows = std::vector<std::vector<std::string>>;

// What a folder holds, by the names that the formats' own tools go by.
struct Contents {
  std::vector<fs::path> shards, logs, weights, folders;
  bool empty() const { return shards.empty() && logs.empty() && weights.empty(); }
};

Contents contents_of(const fs::path& folder) {
  Contents contents;
  for (const fs::path& path : list_folder(folder)) {
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (name.starts_with('.')) continue;
    if (fs::is_directory(path, ignored)) {
      contents.folders.push_back(path);
    } else if (name.find("tfevents") != std::string::npos) {
      contents.logs.push_back(path);
    } else if (name.ends_with(".tfrecords") || name.ends_with(".tfrecord")) {
      contents.shards.push_back(path);
    } else if (name.ends_with(".safetensors")) {
      contents.weights.push_back(path);
    }
  }
  return contents;
}

std::string name_of(const fs::path& path) { return plain_or_quoted(path.filename().string()); }

// A line of the table; `what` gives its cells but the first. What cannot be read says why.
template <class F>
void add_row(Rows& rows, const fs::path& path, F what) {
  std::vector<std::string> row = {name_of(path)};
  try {
    for (std::string& cell : what()) row.push_back(std::move(cell));
  } catch (const Error& error) {
    row.resize(1);
    row.push_back("damaged");
    row.resize(rows.front().size() - 1);
    row.push_back(one_line(error.text()));
  }
  rows.push_back(std::move(row));
}

// The records of each shard, and whether they are all there.
void inspect_shards(const fs::path& folder, const std::vector<fs::path>& shards) {
  Rows rows = {{"shard", "records", "bytes"}};
  std::int64_t records = 0;
  std::vector<std::string> damages;
  for (const fs::path& shard : shards) {
    std::optional<RecordReader> reader;
    try {
      reader.emplace(shard);
      for (std::string record; reader->next(record);) continue;
    } catch (const Error& error) {
      damages.push_back(one_line(error.text()));
    }
    const std::int64_t count = reader ? reader->count() : 0;
    const std::int64_t bytes = reader ? static_cast<std::int64_t>(reader->bytes()) : 0;
    records += count;
    rows.push_back({name_of(shard), with_commas(count), with_commas(bytes)});
  }
  print("{}{} in {}\n", format_table(rows, output_columns()), count_of(records, "record"),
        count_of(std::ssize(shards), "shard"));
  std::error_code ignored;
  if (damages.empty() && fs::exists(shard_index_path(folder), ignored)) {
    try {
      list_shards(folder);
      print("all of them, as {} says\n", shard_index_path("").string());
    } catch (const Error& error) {
      damages.push_back(one_line(error.text()));
    }
  }
  for (const std::string& damage : damages) print("damaged: {}\n", damage);
}

// As TensorBoard shows them: what a restart made void is left out.
void inspect_logs(const fs::path& folder, std::size_t files) {
  std::vector<std::string> warnings;
  const std::vector<Event> events = read_event_folder(folder, warnings);
  print("{}{} in {}\n", series_table(events), count_of(std::ssize(events), "event"),
        count_of(static_cast<std::int64_t>(files), "file"));
  for (const std::string& warning : warnings) print("damaged: {}\n", one_line(warning));
}

void inspect_weights(const std::vector<fs::path>& files) {
  Rows rows = {{"file", "format", "tensors", "bytes"}};
  for (const fs::path& path : files) {
    add_row(rows, path, [&]() -> std::vector<std::string> {
      const SafetensorsFile file = SafetensorsFile::open(path);
      std::size_t bytes = 0;
      for (const SafetensorsEntry& entry : file.entries()) bytes += entry.data.size();
      const auto format = file.metadata().find("format");
      return {format == file.metadata().end() ? "" : plain_or_quoted(format->second),
              with_commas(std::ssize(file.entries())),
              with_commas(static_cast<std::int64_t>(bytes))};
    });
  }
  print("{}{}\n", format_table(rows, output_columns()), count_of(std::ssize(files), "file"));
}

// "10 epochs, 10,000 steps: loss 0.8824, accuracy 0.6700"
std::string progress_of(const std::vector<EpochRow>& epochs) {
  if (epochs.empty()) return "no epoch was finished";
  std::string values;
  double done = 0, steps = 0;
  for (const auto& [name, value] : epochs.back()) {
    if (name == "epoch") done = value;
    if (name == "steps") steps = value;
    if (name == "epoch" || name == "steps" || name == "seconds") continue;
    values += fmt::format("{} {} {}", values.empty() ? ":" : ",", one_line(name), mean_text(value));
  }
  const bool is_whole = done == static_cast<double>(static_cast<std::int64_t>(done));
  const std::string text = is_whole ? count_of(static_cast<std::int64_t>(done), "epoch")
                                    : fmt::format("{} epochs", mean_text(done, 3));
  return fmt::format("{}, {}{}{}", text, count_of(static_cast<std::int64_t>(steps), "step"), values,
                     mean_of_steps(steps_in_part(epochs)));
}

std::vector<std::string> describe_run(const fs::path& folder) {
  const RunPaths paths(folder);
  const SavedRun run = read_run(paths);
  std::vector<std::string> warnings;
  const Notes model = paths.has_ended() ? load_model(paths.model).notes : Notes{};
  const FileNotes checkpoint = newest_notes(folder, warnings);
  std::string text = progress_of(epochs_of(folder, checkpoint, model));
  if (const auto best = best_validation(checkpoint.notes, checkpoint.file)) {
    text += fmt::format("; best validation loss {}", mean_text(best->loss));
  }
  if (!paths.has_ended()) text += "; its training has not ended yet";
  for (const std::string& warning : warnings) text += "; damaged: " + one_line(warning);
  return {fmt::format("run, {}", one_line(run.name)), text};
}

// Kind and content of a folder in a folder; nothing for one of another kind.
std::vector<std::string> describe_folder(const fs::path& folder) {
  if (RunPaths(folder).is_run()) return describe_run(folder);
  const Contents contents = contents_of(folder);
  const auto of = [](const std::vector<fs::path>& files, const char* what) {
    return count_of(std::ssize(files), what);
  };
  if (!contents.shards.empty()) return {"data", of(contents.shards, "shard")};
  if (!contents.logs.empty()) return {"logs", of(contents.logs, "file")};
  if (!contents.weights.empty()) return {"weights", of(contents.weights, "file")};
  const auto runs = std::ranges::count_if(
      contents.folders, [](const fs::path& inner) { return RunPaths(inner).is_run(); });
  if (runs > 0) return {"folder", count_of(runs, "run")};
  return {};
}

// The table of the folders in a folder; nothing where none of them is of a kind that is known.
std::string folders_table(const std::vector<fs::path>& folders) {
  Rows rows = {{"folder", "kind", "holds"}};
  for (const fs::path& folder : folders) {
    add_row(rows, folder, [&] { return describe_folder(folder); });
    if (rows.back().size() == 1) rows.pop_back();
  }
  return rows.size() == 1 ? "" : format_table(rows, output_columns());
}

}  // namespace

void inspect_folder(const fs::path& folder) {
  const RunPaths run(folder);
  std::error_code ignored;
  if (run.is_run() || fs::exists(run.former, ignored)) return inspect_run(folder);
  const Contents contents = contents_of(folder);
  const std::string folders = folders_table(contents.folders);
  check(!contents.empty() || !folders.empty(), "inspect",
        "'{}' is no run, and holds no data, logs, weights or runs", folder.string());
  if (!contents.shards.empty()) inspect_shards(folder, contents.shards);
  if (!contents.logs.empty()) inspect_logs(folder, contents.logs.size());
  if (!contents.weights.empty()) inspect_weights(contents.weights);
  if (!contents.empty() && !folders.empty()) print("\n");
  write_output(folders);
}

}  // namespace maskgrad::apps
