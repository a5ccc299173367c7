#include <charconv>

#include <fmt/format.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/run_logs.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> read_lines(const fs::path& path) {
  std::vector<std::string> lines;
  if (!fs::is_regular_file(path)) return lines;
  const std::string text = read_file(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// The number that a line of a log starts with; -1 when it starts with none.
std::int64_t first_number(const std::string& line) {
  std::int64_t number = -1;
  std::from_chars(line.data(), line.data() + line.size(), number);
  return number;
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return cells;
}

}  // namespace

void StepLog::on_start(const Trainer& trainer) {
  std::string kept = "step,loss\n";
  if (trainer.state().step > 0) {
    for (const std::string& line : read_lines(path_)) {
      const std::int64_t step = first_number(line);
      if (step >= 0 && step < trainer.state().step) kept += line + "\n";
    }
  }
  file_ = std::make_unique<OutputFile>(path_, OutputFile::Mode::kTruncate);
  file_->write(kept);
  file_->flush();
}

void StepLog::on_step(const StepInfo& step) {
  char line[64];
  const auto [end, size] =
      fmt::format_to_n(line, sizeof line, "{},{:.17g}\n", step.step, step.loss);
  file_->write({line, size});
}

void EpochLog::on_start(const Trainer& trainer) {
  lines_.clear();
  if (trainer.state().step == 0) return;
  // A damaged table is refused now, not when the report at the end of the run reads it.
  if (fs::exists(path_)) read_epochs(path_);
  for (std::string& line : read_lines(path_)) {
    const std::int64_t epoch = first_number(line);
    // An epoch that was cut short is in the file too; it is done again up to its end.
    if (epoch <= trainer.state().position.epoch) lines_.push_back(std::move(line));
  }
}

void EpochLog::on_epoch(const Trainer&, const EpochInfo& epoch) {
  std::string line = fmt::format("{},{}", epoch.epoch, epoch.steps);
  for (const Metric& metric : epoch.totals) line += fmt::format(",{:.17g}", metric.mean());
  write_with(epoch, fmt::format("{},{:.3f}", line, epoch.seconds));
}

void EpochLog::write_with(const EpochInfo& epoch, const std::string& row) {
  if (lines_.empty()) {
    std::string header = "epoch,steps";
    for (const Metric& metric : epoch.totals) header += "," + metric.name;
    lines_.push_back(header + ",seconds");
  }
  if (!row.empty()) lines_.push_back(row);
  std::string text;
  for (const std::string& line : lines_) text += line + "\n";
  write_file(path_, text);
}

std::vector<EpochRow> read_epochs(const fs::path& path) {
  read_file(path);  // for the error when it cannot be read
  const std::vector<std::string> lines = read_lines(path);
  check(!lines.empty(), "epochs", "'{}' is empty", path.string());
  const std::vector<std::string> names = split(lines.front());
  std::vector<EpochRow> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = split(lines[i]);
    check(cells.size() == names.size(), "epochs", "'{}' line {}: has {} cells, the header {}",
          path.string(), i + 1, cells.size(), names.size());
    EpochRow row;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      double value = 0;
      const auto [end, error] =
          std::from_chars(cells[c].data(), cells[c].data() + cells[c].size(), value);
      check(error == std::errc() && end == cells[c].data() + cells[c].size(), "epochs",
            "'{}' line {}: '{}' is no number", path.string(), i + 1, cells[c]);
      row.emplace_back(names[c], value);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace maskgrad
