#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHeader = "step,loss\n";
constexpr const char* kName = "step_log";
constexpr const char* kAdvice = "put it right, or move it away to log from here on";

// Lines with their ends, one at a time: a log may be longer than the memory is large.
class LineReader {
 public:
  explicit LineReader(const fs::path& path) : file_(path) {}

  // False at the end. The last line may lack its end.
  bool next(std::string& line) {
    line.clear();
    for (char c = 0; c != '\n' && file_.read(&c, 1) == 1;) line += c;
    ++number_;
    return !line.empty();
  }
  std::int64_t number() const { return number_; }

 private:
  InputFile file_;
  std::int64_t number_ = 0;
};

// The step of a line "12,0.5\n"; -1 for any other.
std::int64_t step_of(std::string_view line) {
  const bool has_sign_or_zeros =
      line.size() > 1 && (line[0] == '-' || (line[0] == '0' && line[1] != ','));
  if (!line.ends_with('\n') || has_sign_or_zeros) return -1;
  const char* const end = line.data() + line.size() - 1;
  std::int64_t step = -1;
  double loss = 0;
  const auto number = std::from_chars(line.data(), end, step);
  if (number.ec != std::errc() || number.ptr == end || *number.ptr != ',') return -1;
  const auto value = std::from_chars(number.ptr + 1, end, loss);
  return value.ec == std::errc() && value.ptr == end ? step : -1;
}

bool is_missing(const fs::path& path) {
  std::error_code ignored;
  return !fs::exists(path, ignored);
}

}  // namespace

Digest copy_step_log(const fs::path& from, AtomicFile& to, std::int64_t end, const Notes& resumed) {
  LineReader lines(from);
  std::string line;
  lines.next(line);
  check(line == kHeader, kName, "'{}' is no step log: its first line is not 'step,loss': {}",
        from.string(), kAdvice);
  Digest digest;
  const auto copy = [&] {
    digest.add(line);
    to.write(line);
  };
  copy();
  const auto note = resumed.find(kStepLogNote);
  const bool is_vouched_for = note != resumed.end();
  std::int64_t step = 0;
  for (bool is_first = true; step < end; ++step, is_first = false) {
    check(lines.next(line), kName, "'{}' ends before step {}, and the run goes on at {}: {}",
          from.string(), step, end, kAdvice);
    // A log that was begun in the middle of a run begins with another step than 0.
    if (is_first && is_vouched_for) step = std::clamp<std::int64_t>(step_of(line), 0, end);
    check(step_of(line) == step, kName, "'{}' line {}: {} is not step {} and its loss: {}",
          from.string(), lines.number(), quote(line), step, kAdvice);
    copy();
  }
  check(!is_vouched_for || note->second == to_string(digest), kName,
        "'{}': its lines up to step {} are not those that the run wrote: {}", from.string(), end,
        kAdvice);
  return digest;
}

void StepLog::on_start(const Trainer& trainer) {
  if (file_) {  // this object logged the steps before itself
    file_->flush();
    add_notes(origin_.resumed);
  }
  digest_ = digest_of(kHeader);
  is_pipe_ = !can_be_replaced(path_);
  if (is_pipe_) {
    file_ = std::make_unique<OutputFile>(path_, OutputFile::Mode::kTruncate);
    file_->write(kHeader);
    file_->flush();
    return;
  }
  const std::int64_t step = trainer.state().step;
  remove_dead_temporaries_of(path_);
  if (step == 0) check_may_replace(path_, kHeader, kName, "step log");
  AtomicFile log(path_);
  if (step > 0 && !is_missing(path_)) {
    digest_ = copy_step_log(path_, log, step, origin_.resumed);
  } else {
    log.write(kHeader);
    warn_of_new_log(step);
  }
  log.commit();
  file_ = std::make_unique<OutputFile>(path_, OutputFile::Mode::kAppend);
}

void StepLog::warn_of_new_log(std::int64_t step) const {
  if (step == 0 || !origin_.warn) return;
  origin_.warn(fmt::format("'{}' is new: the steps before {} are not in it", path_.string(), step));
}

void StepLog::on_step(const Trainer&, const StepInfo& step) {
  char memory[64];
  const auto written =
      fmt::format_to_n(memory, sizeof memory, "{},{:.17g}\n", step.step, step.loss);
  const std::string_view line(memory, written.size);
  digest_.add(line);
  unless_reader_left([&] { file_->write(line); });
}

void StepLog::sync() {
  unless_reader_left([&] { file_->sync(); });
}

// Steps that somebody watches are no reason to lose a run. A file that cannot be written is.
template <class Work>
void StepLog::unless_reader_left(Work work) {
  if (reader_left_) return;
  try {
    work();
  } catch (const Error& error) {
    if (!is_pipe_) throw;
    reader_left_ = true;
    if (origin_.warn) {
      origin_.warn(fmt::format("{}: the step log ends here, and the run goes on", error.text()));
    }
  }
}

void StepLog::add_notes(Notes& notes) const { notes[kStepLogNote] = to_string(digest_); }

}  // namespace maskgrad
