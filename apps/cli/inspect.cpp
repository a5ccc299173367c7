// maskgrad inspect
#include "cli/inspect/inspect.hpp"

#include <cmath>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/training_options.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/run_folder.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// Counts stand there whole. Of an epoch a part may be done: "2.025".
std::string cell_of(const std::string& name, double value) {
  const bool is_count = name == "epoch" || name == "steps";
  if (!is_count) return fmt::format("{:.6g}", value);
  return value == std::floor(value) ? fmt::format("{:.0f}", value) : mean_text(value, 3);
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
      cells.push_back(value ? cell_of(name, *value) : "");
    }
    rows.push_back(cells);
  }
  const std::int64_t steps = steps_in_part(epochs);
  const std::string mean =
      steps == 0 ? "" : fmt::format("the last line is the mean of {}\n", count_of(steps, "step"));
  return format_table(rows, output_columns()) + mean + "\n";
}

// A program that names nothing leaves the name of TrainingOptions.
std::string origin_of(const SavedRun& run) {
  if (run.recipe) return fmt::format("recipe {}", run.name);
  const bool has_name = run.name != TrainingOptions().name;
  return has_name ? fmt::format("a program, {}", one_line(run.name)) : "a program of its own";
}

}  // namespace

std::vector<EpochRow> epochs_of(const fs::path& run, const FileNotes& checkpoint,
                                const Notes& model) {
  const RunPaths paths(run);
  Notes notes = model;
  notes.insert(checkpoint.notes.begin(), checkpoint.notes.end());
  std::error_code ignored;
  std::vector<EpochRow> epochs;
  if (fs::exists(paths.epochs, ignored)) epochs = read_epochs(paths.epochs, notes);
  add_epoch_part(epochs, checkpoint.notes, checkpoint.file);
  add_epoch_part(epochs, model, paths.model);
  return epochs;
}

void inspect_run(const fs::path& folder) {
  const RunPaths paths(folder);
  const SavedRun run = read_run(paths);
  std::error_code ignored;
  const bool has_model = fs::exists(paths.model, ignored);
  std::vector<std::string> warnings;
  const Notes model = has_model ? load_model(paths.model).notes : Notes{};
  const FileNotes checkpoint = newest_notes(paths.folder, warnings);
  const std::vector<std::string> changes = changes_in(run, paths, checkpoint, model);
  read_event_folder(paths.logs, warnings);
  const std::vector<EpochRow> epochs = epochs_of(folder, checkpoint, model);
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
    inspect_model_of_run(paths.model);
  else
    print("{}\n", one_line(about_unended(paths)));
  for (const std::string& warning : warnings) print("damaged: {}\n", one_line(warning));
}

void add_inspect(CLI::App& program) {
  auto* command = program.add_subcommand(
      "inspect",
      "Show what is in a run, in a file of weights, data or logs, or in a folder of any");
  auto path = std::make_shared<std::string>();
  command->add_option("PATH", *path, "File or folder")->type_name("")->required();
  command->footer(
      "Files: safetensors (weights, checkpoints), TFRecord (data), TensorBoard events (logs).\n"
      "Of each tensor: its smallest, mean and largest value and their standard deviation, over "
      "the finite values; the share of zeros; and how many values are Inf or NaN.\n\n" +
      examples({"inspect runs/first", "inspect runs"}));
  command->callback([path] { inspect_path(*path); });
}

}  // namespace maskgrad::apps
