// The logs of a run: a line for each step, for each epoch, and for each validation.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/digest.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// The notes under which a checkpoint holds the digest of the step log up to its step, that of
/// epochs.csv up to its epoch, and that of validation.csv up to its last validation.
inline constexpr const char* kStepLogNote = "step_log";
inline constexpr const char* kEpochsNote = "epochs.csv";
inline constexpr const char* kValidationsNote = "validation.csv";
/// The note under which a model holds epoch_values_digest() of the whole table. The digest leaves
/// out how long an epoch took, so equal runs have equal models, byte for byte.
inline constexpr const char* kEpochValuesNote = "epochs.csv without seconds";
/// The note under which a checkpoint within an epoch, and the model of a run that ended within one,
/// hold epoch_part().
inline constexpr const char* kEpochPartNote = "epoch_part";

/// Where the log of a run begins when the run goes on. `resumed` are the notes of the checkpoint
/// that the run goes on from. The log up to the checkpoint must match its digest in these notes.
/// Where it does not, the run does not start: on_start() throws Error that names the file and says
/// what to do. Without such a note the log must at least be whole. A missing log is begun anew, and
/// `warn` gets a line about it. Lines beyond the checkpoint are dropped: these steps are done
/// again.
struct LogOrigin {
  Notes resumed = {};
  Warn warn = {};
};

/// Appends `step,loss` (%.17g) for each step. The loss is the one before that step's update. A run
/// that goes on first replaces the log, as AtomicFile does, with its lines up to the run's step.
/// The log may be a pipe. When the reader of a pipe leaves, `warn` gets a line, further lines are
/// lost, and the run goes on. Throws Error where the log cannot be written.
class StepLog : public Callback {
 public:
  explicit StepLog(std::filesystem::path path, LogOrigin origin = {})
      : path_(std::move(path)), origin_(std::move(origin)) {}

  void on_start(const Trainer& trainer) override;
  bool needs_step(std::int64_t) const override { return false; }
  void on_step(const Trainer& trainer, const StepInfo& step) override;
  void on_epoch(const Trainer&, const EpochInfo&) override { sync(); }
  void on_interrupt(const Trainer&) override { sync(); }
  void on_checkpoint(const Trainer&) override { sync(); }
  void add_notes(Notes& notes) const override;

 private:
  void sync();
  void warn_of_new_log(std::int64_t step) const;
  template <class Work>
  void unless_reader_left(Work work);

  std::filesystem::path path_;
  LogOrigin origin_;
  Digest digest_;  // of all that was written
  std::unique_ptr<OutputFile> file_;
  bool is_pipe_ = false, reader_left_ = false;
};

/// Copies the header and the lines of a step log before step `end`, and returns their digest.
/// Throws Error naming the file, and the line where there is one, unless the lines are whole and
/// without a gap. Where `resumed` holds a digest of the log, the lines must match it, and the first
/// may be of any step. Otherwise they must begin with step 0.
Digest copy_step_log(const std::filesystem::path& from, AtomicFile& to, std::int64_t end,
                     const Notes& resumed);

/// Keeps `epochs.csv`. Its columns are epoch,steps,loss,...,seconds, with the mean of each metric
/// over the epoch's samples. The file is written anew, as a whole, at each epoch. A part of an
/// epoch gets no line there, but a note, see kEpochPartNote. So a run that ends within its first
/// epoch leaves a table with only a header. A name that holds a comma, a quote or a line's end
/// stands in quotes (RFC 4180).
class EpochLog : public Callback {
 public:
  explicit EpochLog(std::filesystem::path path, LogOrigin origin = {})
      : path_(std::move(path)), origin_(std::move(origin)) {}

  void on_start(const Trainer& trainer) override;
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) override;
  void on_interrupt(const Trainer& trainer) override;
  void on_checkpoint(const Trainer& trainer) override { on_interrupt(trainer); }
  void add_notes(Notes& notes) const override;

 private:
  void write(const EpochInfo& epoch, const std::string& row);

  std::filesystem::path path_;
  LogOrigin origin_;
  std::string text_, part_;
  bool began_within_epoch_ = false;  // the epoch under way, of which the time is not all known
};

/// Keeps `validation.csv`: a line for each evaluation of Validation. Its columns are
/// epoch,steps,loss,..., with the mean of each metric over the validation data. Epoch 1.5 is the
/// middle of the second one. The file is written anew, as a whole, each time. A run that never
/// validates has none.
class ValidationLog : public Callback {
 public:
  explicit ValidationLog(std::filesystem::path path, LogOrigin origin = {})
      : path_(std::move(path)), origin_(std::move(origin)) {}

  void on_start(const Trainer& trainer) override;
  bool needs_step(std::int64_t) const override { return false; }
  void on_evaluation(const Trainer& trainer, const EvaluationInfo& evaluation) override;
  void add_notes(Notes& notes) const override;

 private:
  std::filesystem::path path_;
  LogOrigin origin_;
  std::string text_;
};

/// The epoch under way as a table of one line, as it would stand in epochs.csv: epoch 1.25 is a
/// quarter of the second one. Without `seconds` the table has no such column. Requires that the run
/// stands within an epoch.
std::string epoch_part(const Trainer& trainer, std::optional<double> seconds = {});

/// One line of `epochs.csv`: a column's name and its value.
using EpochRow = std::vector<std::pair<std::string, double>>;

/// Reads the table of an epochs.csv. Its beginning must match the digests in `notes` under
/// kEpochsNote and kEpochValuesNote, where they are there. Later lines may follow. Throws Error
/// naming the file, and the line where there is one.
std::vector<EpochRow> read_epochs(const std::filesystem::path& path, const Notes& notes = {});

/// Reads the part of a validation.csv that the note kValidationsNote vouches for; nothing where
/// there is no such note, and where the file is gone. Throws Error naming the file, and the line
/// where there is one.
std::vector<EpochRow> read_validations(const std::filesystem::path& path, const Notes& notes);

/// Adds the line of the note kEpochPartNote, if there is one, where the rows do not reach as far.
/// It replaces a line of the same epoch that is not whole either. Throws Error naming `file`, which
/// holds the notes.
void add_epoch_part(std::vector<EpochRow>& rows, const Notes& notes,
                    const std::filesystem::path& file);

/// The value of a column; nothing when the row has no such column.
std::optional<double> find_value(const EpochRow& row, std::string_view column);

/// "2 rows, crc32c 1a2b3c4d": the checksum of all cells of an epochs.csv but those in the column
/// "seconds". Throws Error as read_epochs().
std::string epoch_values_digest(const std::filesystem::path& path);

}  // namespace maskgrad
