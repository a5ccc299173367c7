#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/callbacks/metric_table.hpp>
#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/csv.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "epochs";

std::vector<EpochRow> parse_epochs(std::string_view text, const std::string& file) {
  return parse_metric_table(text, file, kName);
}

// Of the header and of the first `rows` rows, or fewer where there are no more.
std::string values_digest(std::string_view text, std::int64_t rows) {
  const std::vector<std::string> names = take_csv_record(text);
  Digest digest;
  const auto add = [&](const std::vector<std::string>& cells) {
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (names[c] != "seconds")
        digest.add(csv_cell(cells[c]) + (c + 1 < cells.size() ? ',' : '\n'));
    }
  };
  add(names);
  std::int64_t done = 0;
  for (; done < rows && !text.empty(); ++done) add(take_csv_record(text));
  return fmt::format("{} rows, crc32c {}", done, crc_text(digest.crc));
}

// Throws unless the text, a sound table, begins with what the notes vouch for.
void check_digest(std::string_view text, const Notes& notes, const std::string& file) {
  bool holds = true;
  if (const auto note = notes.find(kEpochsNote); note != notes.end()) {
    const auto digest = parse_digest(note->second);
    check(digest.has_value(), kName, "'{}': '{}' is no digest of it", file,
          shortened(note->second));
    holds = digest_of(text.substr(0, digest->bytes)) == *digest;
  }
  if (const auto note = notes.find(kEpochValuesNote); note != notes.end()) {
    std::int64_t rows = 0;
    std::from_chars(note->second.data(), note->second.data() + note->second.size(), rows);
    holds = holds && values_digest(text, rows) == note->second;
  }
  check(holds, kName, "'{}' is not the table that the run wrote: {}", file, kTableAdvice);
}

// The header and the lines of the epochs 1 to `epochs`, which must be there.
std::string_view lines_up_to(std::string_view text, std::int64_t epochs, const std::string& file) {
  std::string_view rest = text;
  take_csv_record(rest);
  for (std::int64_t epoch = 1; epoch <= epochs; ++epoch) {
    check(!rest.empty(), kName, "'{}' ends before epoch {}, and the run goes on after {}: {}", file,
          epoch, epochs, kTableAdvice);
    const std::string cell = take_csv_record(rest).front();
    check(cell == std::to_string(epoch), kName, "'{}' line {}: is of epoch {}, not {}: {}", file,
          epoch + 1, cell, epoch, kTableAdvice);
  }
  return text.substr(0, text.size() - rest.size());
}

}  // namespace

std::string epoch_part(const Trainer& trainer, std::optional<double> seconds) {
  const TrainState& state = trainer.state();
  return fmt::format("{}{}\n{:.17g},{}{}{}\n", metric_header(state.totals),
                     seconds ? ",seconds" : "", epochs_done(trainer), state.step,
                     metric_cells(state.totals), seconds ? fmt::format(",{:.3f}", *seconds) : "");
}

void add_epoch_part(std::vector<EpochRow>& rows, const Notes& notes, const fs::path& file) {
  const auto note = notes.find(kEpochPartNote);
  if (note == notes.end()) return;
  std::vector<EpochRow> part =
      parse_epochs(note->second, fmt::format("{}: note {}", file.string(), kEpochPartNote));
  const auto steps = part.size() == 1 ? find_value(part.front(), "steps") : std::nullopt;
  const auto epoch = steps ? find_value(part.front(), "epoch") : std::nullopt;
  check(epoch && *epoch > 0, kName, "'{}': its note '{}' tells no epoch", file.string(),
        kEpochPartNote);
  if (!rows.empty()) {
    if (find_value(rows.back(), "steps").value_or(0) >= *steps) return;
    const double last = find_value(rows.back(), "epoch").value_or(0);
    if (last != std::floor(last) && std::floor(last) == std::floor(*epoch)) rows.pop_back();
  }
  rows.push_back(std::move(part.front()));
}

std::optional<double> find_value(const EpochRow& row, std::string_view column) {
  for (const auto& [name, value] : row) {
    if (name == column) return value;
  }
  return std::nullopt;
}

void EpochLog::on_start(const Trainer& trainer) {
  if (!text_.empty()) add_notes(origin_.resumed);  // this object logged the steps before itself
  text_.clear();
  part_.clear();
  began_within_epoch_ = trainer.state().position.batch > 0;
  const std::int64_t epochs = trainer.state().position.epoch;
  std::error_code ignored;
  if (trainer.state().step > 0 && fs::exists(path_, ignored)) {
    // A damaged table is refused now, not when the report at the end of the run reads it.
    const std::string text = read_file(path_, kMostTableBytes), file = path_.string();
    parse_epochs(text, file);
    check_digest(text, origin_.resumed, file);
    const auto note = origin_.resumed.find(kEpochsNote);
    if (note != origin_.resumed.end())
      text_ = text.substr(0, parse_digest(note->second)->bytes);
    else if (epochs > 0)
      text_ = lines_up_to(text, epochs, file);
  } else if (epochs > 0 && origin_.warn) {
    origin_.warn(
        fmt::format("'{}' is new: the {} epochs before are not in it", path_.string(), epochs));
  }
}

void EpochLog::on_epoch(const Trainer&, const EpochInfo& epoch) {
  part_.clear();
  began_within_epoch_ = false;
  write(epoch, fmt::format("{},{}{},{:.3f}\n", epoch.epoch, epoch.steps, metric_cells(epoch.totals),
                           epoch.seconds));
}

void EpochLog::on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) {
  write(part, "");
  // A run that went on within this epoch knows only the time since.
  part_ = began_within_epoch_ ? epoch_part(trainer) : epoch_part(trainer, part.seconds);
}

void EpochLog::on_interrupt(const Trainer& trainer) { part_ = epoch_part(trainer); }

void EpochLog::write(const EpochInfo& epoch, const std::string& row) {
  const std::string header = metric_header(epoch.totals) + ",seconds\n";
  if (text_.empty()) text_ = header;
  check(text_.starts_with(header), kName, "'{}' has other columns than the run: {}", path_.string(),
        kTableAdvice);
  text_ += row;
  write_file(path_, text_);
}

void EpochLog::add_notes(Notes& notes) const {
  if (!text_.empty()) notes[kEpochsNote] = to_string(digest_of(text_));
  if (!part_.empty()) notes[kEpochPartNote] = part_;
}

std::vector<EpochRow> read_epochs(const fs::path& path, const Notes& notes) {
  const std::string text = read_file(path, kMostTableBytes), file = path.string();
  const std::vector<EpochRow> rows = parse_epochs(text, file);
  check_digest(text, notes, file);
  return rows;
}

std::string epoch_values_digest(const fs::path& path) {
  const std::string text = read_file(path, kMostTableBytes);
  return values_digest(text, std::ssize(parse_epochs(text, path.string())));
}

}  // namespace maskgrad
