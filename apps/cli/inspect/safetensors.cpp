#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/formats/tensor_statistics.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/run/run_notes.hpp>

#include "cli/inspect/inspect.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

bool is_settings(const std::string& key) { return key == fmt::format("note.{}", kSettingsNote); }

// The settings of a run stand there as its config.toml had them, to be copied; all else on one
// line.
std::string metadata_text(const std::string& key, const std::string& value) {
  if (!is_settings(key)) return " " + one_line(value);
  std::string text;
  for (std::string_view rest = value; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    text += fmt::format("\n  {}", one_line(line));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return text;
}

// The cells behind name, dtype, shape and bytes; empty for what has no numbers.
std::vector<std::string> statistics_cells(const SafetensorsEntry& entry) {
  const std::optional<TensorStatistics> s = statistics_of(entry);
  if (!s || s->count == 0) return std::vector<std::string>(6);
  std::vector<std::string> cells;
  const bool has_finite = s->not_finite < s->count;
  for (const double number : {s->min, s->mean, s->max, s->std}) {
    cells.push_back(has_finite ? fmt::format("{:.3g}", number) : "");
  }
  const double share = static_cast<double>(s->zeros) / static_cast<double>(s->count);
  cells.push_back(percent_text(share));
  cells.push_back(with_commas(s->not_finite));
  return cells;
}

// What a narrow terminal can do without, the first first; numbers that are not finite only where
// there are none.
std::vector<std::string_view> spare_columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::string_view> spare = {"std", "bytes", "zeros", "dtype"};
  const auto is_finite = [](const std::vector<std::string>& row) {
    return row.back().empty() || row.back() == "0";
  };
  if (std::all_of(rows.begin() + 1, rows.end(), is_finite)) {
    spare.insert(spare.begin(), rows.front().back());
  }
  return spare;
}

void inspect_tensors(const std::filesystem::path& path, bool with_settings) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<std::vector<std::string>> rows = {
      {"tensor", "dtype", "shape", "bytes", "min", "mean", "max", "std", "zeros", "not finite"}};
  std::size_t bytes = 0;
  for (const SafetensorsEntry& entry : file.entries()) {
    rows.push_back({plain_or_quoted(entry.name), entry.dtype,
                    fmt::format("[{}]", fmt::join(entry.shape, ", ")),
                    with_commas(static_cast<std::int64_t>(entry.data.size()))});
    for (std::string& cell : statistics_cells(entry)) rows.back().push_back(std::move(cell));
    bytes += entry.data.size();
  }
  print("{}{}, {}\n", format_table_without(spare_columns(rows), rows, output_columns()),
        count_of(std::ssize(file.entries()), "tensor"),
        count_of(static_cast<std::int64_t>(bytes), "byte"));
  for (const auto& [key, value] : file.metadata()) {
    if (is_settings(key) && !with_settings) continue;
    print("{}:{}\n", plain_or_quoted(key), metadata_text(key, value));
  }
  if (file.has_digest()) print("its digest matches\n");
  for (const std::string& key : file.repeated_keys()) {
    print("given twice, of which the last counts: {}\n", plain_or_quoted(key));
  }
}

}  // namespace

void inspect_safetensors(const std::filesystem::path& file) { inspect_tensors(file, true); }

void inspect_model_of_run(const std::filesystem::path& file) { inspect_tensors(file, false); }

}  // namespace maskgrad::apps
