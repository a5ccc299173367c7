// maskgrad inspect
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include <maskgrad/train/run_logs.hpp>
#include <maskgrad/train/safetensors.hpp>
#include <maskgrad/train/tensorboard.hpp>
#include <maskgrad/train/tf_example.hpp>
#include <maskgrad/train/tfrecord.hpp>

#include "command.hpp"
#include "run_folder.hpp"
#include "table.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

void inspect_safetensors(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<std::vector<std::string>> rows = {{"tensor", "dtype", "shape", "bytes"}};
  std::size_t bytes = 0;
  for (const SafetensorsEntry& entry : file.entries()) {
    rows.push_back({entry.name, entry.dtype, fmt::format("[{}]", fmt::join(entry.shape, ", ")),
                    with_commas(static_cast<std::int64_t>(entry.data.size()))});
    bytes += entry.data.size();
  }
  fmt::print("{}{} tensors, {} bytes\n", format_table(rows), file.entries().size(),
             with_commas(static_cast<std::int64_t>(bytes)));
  for (const auto& [key, value] : file.metadata()) fmt::print("{}: {}\n", key, value);
  for (const std::string& key : file.repeated_keys()) fmt::print("repeated name: {}\n", key);
}

std::string describe(const Feature& feature) {
  const auto print = [](const auto& list) -> std::string {
    using T = typename std::decay_t<decltype(list)>::value_type;
    if constexpr (std::is_same_v<T, std::string>)
      return fmt::format("{} texts", list.size());
    else
      return fmt::format("[{}]", fmt::join(list, ", "));
  };
  return std::visit(print, feature);
}

void inspect_records(const fs::path& path) {
  constexpr std::int64_t kShown = 3;
  RecordReader reader(path);
  std::string record;
  std::int64_t bytes = 0;
  for (; reader.next(record); bytes += static_cast<std::int64_t>(record.size())) {
    if (reader.count() > kShown) continue;
    fmt::print("record {}, {} bytes\n", reader.count() - 1, record.size());
    // Whatever is framed well may be in a shard; only an Example has parts to show.
    Example example;
    try {
      example = decode_example(record, reader.where());
    } catch (const Error&) {
      fmt::print("  no tf.train.Example\n");
    }
    for (const auto& [name, feature] : example) fmt::print("  {:<6} {}\n", name, describe(feature));
  }
  fmt::print("{} records, {} bytes of data\n", with_commas(reader.count()), with_commas(bytes));
}

void inspect_events(const fs::path& path) {
  struct Series {
    std::int64_t count = 0, first = 0, last = 0;
    std::string kind, value;
  };
  std::map<std::string, Series> series;
  const std::vector<Event> events = read_events(path);
  for (const Event& event : events) {
    for (const SummaryValue& value : event.values) {
      Series& s = series[value.tag];
      if (s.count++ == 0) s.first = event.step;
      s.last = event.step;
      if (const auto* scalar = std::get_if<float>(&value.value)) {
        s.kind = "scalar";
        s.value = fmt::format("{:.6g}", *scalar);
      } else {
        s.kind = std::holds_alternative<Histogram>(value.value) ? "histogram" : "other";
      }
    }
  }
  std::vector<std::vector<std::string>> rows = {{"tag", "kind", "values", "steps", "last"}};
  for (const auto& [tag, s] : series) {
    rows.push_back(
        {tag, s.kind, std::to_string(s.count), fmt::format("{}..{}", s.first, s.last), s.value});
  }
  fmt::print("{}{} events\n", format_table(rows), events.size());
}

void inspect_run(const RunPaths& paths) {
  const RunConfig config = read_config(paths);
  fmt::print("run of recipe {}\n\n", config.recipe.name());
  for (const Setting& setting : config.settings.all()) {
    if (setting.saved) fmt::print("{:<14} {}\n", setting.key, to_string(setting.value));
  }
  fmt::print("\n");
  if (fs::exists(paths.epochs)) {
    std::vector<std::vector<std::string>> rows;
    for (const EpochRow& row : read_epochs(paths.epochs)) {
      std::vector<std::string> names, cells;
      for (const auto& [name, value] : row) {
        names.push_back(name);
        cells.push_back(fmt::format("{:.6g}", value));
      }
      if (rows.empty()) rows.push_back(names);
      rows.push_back(cells);
    }
    fmt::print("{}\n", format_table(rows));
  }
  if (fs::exists(paths.model))
    inspect_safetensors(paths.model);
  else
    fmt::print("training has not ended yet\n");
}

// By the names that the formats' own tools go by, and by content where the name says nothing.
void inspect(const fs::path& path) {
  const std::string name = path.filename().string();
  if (fs::is_directory(path)) return inspect_run(RunPaths(path));
  if (name.find("tfevents") != std::string::npos) return inspect_events(path);
  if (name.ends_with(".tfrecords") || name.ends_with(".tfrecord")) return inspect_records(path);
  if (name.ends_with(".safetensors")) return inspect_safetensors(path);
  const std::string bytes = read_file(path);
  if (bytes.size() > 8 && bytes[8] == '{') return inspect_safetensors(path);
  inspect_records(path);
}

}  // namespace

void add_inspect(CLI::App& program) {
  auto* command = program.add_subcommand(
      "inspect", "Show what is in a safetensors, TFRecord or event file, or in a run folder");
  auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "File or run folder")->required();
  command->footer("Example: maskgrad inspect runs/first/model.safetensors");
  command->callback([path] { inspect(*path); });
}

}  // namespace maskgrad::apps
