// maskgrad inspect
#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/train/data/shards.hpp>
#include <maskgrad/train/formats/crc32c.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/safetensors.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/formats/tf_example.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/report/report_run.hpp>
#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/training_options.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/run_folder.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// The settings of a run stand there as its config.toml had them, to be copied; all else on one
// line.
std::string metadata_text(const std::string& key, const std::string& value) {
  if (key != fmt::format("note.{}", kSettingsNote)) return " " + one_line(value);
  std::string text;
  for (std::string_view rest = value; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    text += fmt::format("\n  {}", one_line(line));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return text;
}

void inspect_safetensors(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<std::vector<std::string>> rows = {{"tensor", "dtype", "shape", "bytes"}};
  std::size_t bytes = 0;
  for (const SafetensorsEntry& entry : file.entries()) {
    rows.push_back({plain_or_quoted(entry.name), entry.dtype,
                    fmt::format("[{}]", fmt::join(entry.shape, ", ")),
                    with_commas(static_cast<std::int64_t>(entry.data.size()))});
    bytes += entry.data.size();
  }
  print("{}{} tensors, {} bytes\n", format_table(rows), file.entries().size(),
        with_commas(static_cast<std::int64_t>(bytes)));
  for (const auto& [key, value] : file.metadata()) {
    print("{}:{}\n", plain_or_quoted(key), metadata_text(key, value));
  }
  if (file.has_digest()) print("its digest matches\n");
  for (const std::string& key : file.repeated_keys()) {
    print("given twice, of which the last counts: {}\n", plain_or_quoted(key));
  }
}

std::string describe(const Feature& feature) {
  const auto print_list = [](const auto& list) -> std::string {
    constexpr std::size_t kMost = 24;
    using T = typename std::decay_t<decltype(list)>::value_type;
    const std::span shown(list.data(), std::min(list.size(), kMost));
    const std::string more =
        list.size() > kMost ? fmt::format(", ... {} in all", list.size()) : std::string();
    if constexpr (std::is_same_v<T, std::string>) {
      std::vector<std::string> texts;
      for (const std::string& text : shown) texts.push_back(plain_or_quoted(text));
      return fmt::format("[{}{}]", fmt::join(texts, ", "), more);
    } else {
      return fmt::format("[{}{}]", fmt::join(shown, ", "), more);
    }
  };
  return std::visit(print_list, feature);
}

std::string describe_record(const std::string& record, const RecordReader& reader) {
  std::string text = fmt::format("record {}, {} bytes\n", reader.count() - 1, record.size());
  // Whatever is framed well may be in a shard; only an Example has parts to show.
  try {
    const Example example = decode_example(record, reader.where());
    for (const auto& [name, feature] : example) {
      text += fmt::format("  {:<6} {}\n", plain_or_quoted(name), describe(feature));
    }
  } catch (const Error&) {
    text += "  no tf.train.Example\n";
  }
  return text;
}

// Shows nothing of a file that is damaged further on.
void inspect_records(const fs::path& path) {
  constexpr std::int64_t kShown = 3;
  RecordReader reader(path, RecordReader::CutHeader::kLikeTensorFlow);
  std::string record, first_records;
  std::int64_t bytes = 0;
  for (; reader.next(record); bytes += static_cast<std::int64_t>(record.size())) {
    if (reader.count() <= kShown) first_records += describe_record(record, reader);
  }
  print("{}{} records, {} bytes of data\n", first_records, with_commas(reader.count()),
        with_commas(bytes));
  if (reader.overlooked() > 0) {
    print(
        "then {} bytes of a record that was cut in its header: TensorFlow overlooks them, "
        "maskgrad train does not\n",
        reader.overlooked());
  }
  // Each record is sound; whether they are all there the index knows.
  try {
    check_shard(path);
  } catch (const Error& error) {
    print("damaged: {}\n", one_line(error.text()));
  }
}

void inspect_events(const fs::path& path) {
  struct Series {
    std::int64_t count = 0, first = 0, last = 0;
    std::string kind, value;
  };
  std::map<std::string, Series> series;
  const EventFile file = read_events(path);
  check(!file.events.empty() || file.damage.empty(), "inspect", "{}", file.damage);
  std::int64_t restarts = 0;
  for (const Event& event : file.events) {
    restarts += event.is_restart;
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
    rows.push_back({plain_or_quoted(tag), s.kind, std::to_string(s.count),
                    fmt::format("{}..{}", s.first, s.last), s.value});
  }
  print("{}{} events\n", format_table(rows), file.events.size());
  if (restarts > 0) print("{} of them say that a run went on\n", restarts);
  if (!file.damage.empty()) print("the rest is damaged: {}\n", one_line(file.damage));
}

// The last row may be of a part of an epoch, and lack its time.
std::string epochs_table(const std::vector<EpochRow>& epochs) {
  std::vector<std::vector<std::string>> rows;
  if (epochs.empty()) return "no epoch was finished\n\n";
  std::vector<std::string> heading;
  for (const auto& [name, value] : epochs.front()) heading.push_back(plain_or_quoted(name));
  rows.push_back(heading);
  for (const EpochRow& row : epochs) {
    std::vector<std::string> cells;
    for (const auto& [name, first] : epochs.front()) {
      const auto value = find_value(row, name);
      cells.push_back(value ? fmt::format("{:.6g}", *value) : "");
    }
    rows.push_back(cells);
  }
  return format_table(rows) + "\n";
}

// What config.toml says otherwise than the run was trained with, by its newest checkpoint or else
// by its model.
std::vector<std::string> changes_in(const SavedRun& run, const RunPaths& paths,
                                    const FileNotes& checkpoint, const Notes& model) {
  if (const auto trained = settings_in(checkpoint.notes, run.defaults, paths, checkpoint.file)) {
    return as_stored(*trained, paths.folder).differences(as_stored(run.settings, paths.folder));
  }
  const auto trained = settings_in(model, run.defaults, paths, paths.model);
  if (!trained) return {};
  return trained->differences(of_results(run.defaults, run.settings));
}

// A program that names nothing leaves the name of TrainingOptions.
std::string origin_of(const SavedRun& run) {
  if (run.recipe) return fmt::format("recipe {}", run.name);
  const bool has_name = run.name != TrainingOptions().name;
  return has_name ? fmt::format("a program, {}", one_line(run.name)) : "a program of its own";
}

void inspect_run(const RunPaths& paths) {
  const SavedRun run = read_run(paths);
  std::error_code ignored;
  const bool has_model = fs::exists(paths.model, ignored);
  std::vector<std::string> warnings;
  const Notes model = has_model ? load_model(paths.model).notes : Notes{};
  const FileNotes checkpoint = newest_notes(paths.folder, warnings);
  const std::vector<std::string> changes = changes_in(run, paths, checkpoint, model);
  Notes notes = model;
  notes.insert(checkpoint.notes.begin(), checkpoint.notes.end());
  read_event_folder(paths.logs, warnings);
  std::vector<EpochRow> epochs;
  if (fs::exists(paths.epochs, ignored)) epochs = read_epochs(paths.epochs, notes);
  add_epoch_part(epochs, checkpoint.notes, checkpoint.file);
  add_epoch_part(epochs, model, paths.model);
  print("run of {}\n\n", origin_of(run));
  std::vector<std::pair<std::string, std::string>> saved;
  for (const Setting& setting : run.settings.all()) {
    if (setting.saved) saved.emplace_back(setting.key, one_line(to_string(setting.value)));
  }
  write_output(format_values(saved));
  for (const std::string& change : changes) print("changed since training: {}\n", one_line(change));
  if (const auto best = best_validation(checkpoint.notes, checkpoint.file)) {
    print("best validation loss: {:.6g} after step {}\n", best->loss, best->step);
  }
  print("\n{}", epochs_table(epochs));
  if (has_model)
    inspect_safetensors(paths.model);
  else
    print("its training has not ended yet\n");
  for (const std::string& warning : warnings) print("damaged: {}\n", one_line(warning));
}

// A record's header vouches for itself: the checksum of its length.
bool starts_like_records(const std::string& bytes) {
  return bytes.size() >= 12 && masked_crc32c(std::string_view(bytes).substr(0, 8)) ==
                                   load_little_endian<std::uint32_t>(bytes.data() + 8);
}

std::string first_bytes(const fs::path& path) {
  std::string bytes(12, '\0');
  bytes.resize(InputFile(path).read(bytes.data(), bytes.size()));
  return bytes;
}

// By the names that the formats' own tools go by, and by content where the name says nothing.
void inspect(const fs::path& path) {
  const std::string name = path.filename().string();
  std::error_code ignored;  // what cannot be looked at cannot be opened, which names the reason
  if (fs::is_directory(path, ignored)) return inspect_run(RunPaths(path));
  if (name.find("tfevents") != std::string::npos) return inspect_events(path);
  if (name.ends_with(".tfrecords") || name.ends_with(".tfrecord")) return inspect_records(path);
  if (name.ends_with(".safetensors")) return inspect_safetensors(path);
  const std::string bytes = first_bytes(path);
  if (starts_like_records(bytes)) return inspect_records(path);
  check(bytes.size() > 8 && bytes[8] == '{', "inspect",
        "'{}' is no safetensors, TFRecord or event file", path.string());
  inspect_safetensors(path);
}

}  // namespace

void add_inspect(CLI::App& program) {
  auto* command = program.add_subcommand(
      "inspect", "Show what is in a safetensors, TFRecord or event file, or in a run folder");
  auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "File or run folder")->type_name("")->required();
  command->footer("Example: maskgrad inspect runs/first/model.safetensors");
  command->callback([path] { inspect(*path); });
}

}  // namespace maskgrad::apps
