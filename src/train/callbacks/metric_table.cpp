#include <charconv>

#include <fmt/format.h>

#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/callbacks/metric_table.hpp>
#include <maskgrad/train/formats/csv.hpp>

namespace maskgrad {
namespace {

double cell_value(const std::string& cell, const std::string& file, std::size_t line,
                  const char* name) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  check(error == std::errc() && end == cell.data() + cell.size(), name,
        "'{}' line {}: '{}' is no number", file, line, shortened(cell));
  return value;
}

}  // namespace

std::vector<EpochRow> parse_metric_table(std::string_view text, const std::string& file,
                                         const char* name) {
  check(!text.empty(), name, "'{}' is empty", file);
  check(text.ends_with('\n'), name, "'{}': its last line does not end", file);
  const std::vector<std::string> names = take_csv_record(text);
  std::vector<EpochRow> rows;
  while (!text.empty()) {
    const std::vector<std::string> cells = take_csv_record(text);
    const std::size_t line = rows.size() + 2;
    check(cells.size() == names.size(), name, "'{}' line {}: has {} cells, the header {}", file,
          line, cells.size(), names.size());
    EpochRow row;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      row.emplace_back(names[c], cell_value(cells[c], file, line, name));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

double epochs_done(const Trainer& trainer) {
  const DataPosition& position = trainer.state().position;
  return static_cast<double>(position.epoch) +
         static_cast<double>(position.batch) /
             static_cast<double>(trainer.loader().batches_per_epoch());
}

std::string metric_header(std::span<const Metric> totals) {
  std::string header = "epoch,steps";
  for (const Metric& metric : totals) header += fmt::format(",{}", csv_cell(metric.name));
  return header;
}

std::string metric_cells(std::span<const Metric> totals) {
  std::string cells;
  for (const Metric& metric : totals) cells += fmt::format(",{:.17g}", metric.mean());
  return cells;
}

}  // namespace maskgrad
