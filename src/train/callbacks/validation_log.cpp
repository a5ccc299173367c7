#include <fmt/format.h>

#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/callbacks/metric_table.hpp>
#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "validation";

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// The beginning of the file that the note vouches for.
std::string vouched_text(const std::filesystem::path& path, const std::string& note) {
  const std::string text = read_file(path, kMostTableBytes), file = path.string();
  const auto digest = parse_digest(note);
  check(digest.has_value(), kName, "'{}': '{}' is no digest of it", file, shortened(note));
  const std::string part = text.substr(0, digest->bytes);
  check(digest_of(part) == *digest, kName, "'{}' is not the table that the run wrote: {}", file,
        kTableAdvice);
  return part;
}

}  // namespace

void ValidationLog::on_start(const Trainer&) {
  if (!text_.empty()) add_notes(origin_.resumed);  // this object logged what came before itself
  text_.clear();
  const auto note = origin_.resumed.find(kValidationsNote);
  if (note == origin_.resumed.end()) return;
  if (is_there(path_)) {
    text_ = vouched_text(path_, note->second);
  } else if (origin_.warn) {
    origin_.warn(fmt::format("'{}' is new: the validations before are not in it", path_.string()));
  }
}

void ValidationLog::on_evaluation(const Trainer& trainer, const EvaluationInfo& evaluation) {
  const std::string header = metric_header(evaluation.totals) + '\n';
  if (text_.empty()) text_ = header;
  check(text_.starts_with(header), kName, "'{}' has other columns than the run: {}", path_.string(),
        kTableAdvice);
  text_ += fmt::format("{:.17g},{}{}\n", epochs_done(trainer), evaluation.step,
                       metric_cells(evaluation.totals));
  write_file(path_, text_);
}

void ValidationLog::add_notes(Notes& notes) const {
  if (!text_.empty()) notes[kValidationsNote] = to_string(digest_of(text_));
}

std::vector<EpochRow> read_validations(const std::filesystem::path& path, const Notes& notes) {
  const auto note = notes.find(kValidationsNote);
  if (note == notes.end() || !is_there(path)) return {};
  return parse_metric_table(vouched_text(path, note->second), path.string(), kName);
}

}  // namespace maskgrad
