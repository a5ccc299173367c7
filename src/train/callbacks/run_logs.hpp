// What a run writes down as it goes: one line a step, one line an epoch.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/digest.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// The notes under which a checkpoint holds the digest of the step log up to its step, and that of
/// epochs.csv up to its epoch.
inline constexpr const char* kStepLogNote = "step_log";
inline constexpr const char* kEpochsNote = "epochs.csv";
/// The note under which a model holds epoch_values_digest() of the whole table. How long an epoch
/// took is no part of it: equal runs have equal models, byte for byte.
inline constexpr const char* kEpochValuesNote = "epochs.csv without seconds";

/// A log of a run that may go on. `resumed` are the notes of the checkpoint that it goes on from.
/// What the log held up to there must be as they say, or the run does not start: Error names file
/// and line, and says what to do. Without a note the log must at least be whole. A log that is not
/// there is begun anew, and `warn` gets a line about it. What the log holds beyond the checkpoint
/// is dropped: it is done again.
struct LogOrigin {
  Notes resumed = {};
  Warn warn = {};
};

/// Appends `step,loss` (%.17g) for each step: the loss before that step's update. A run that goes
/// on rewrites the log up to its step, beside it and in one piece, before it appends. Of a pipe
/// whose reader leaves, the lines that follow are lost: `warn` hears of it, and the run goes on.
class StepLog : public Callback {
 public:
  explicit StepLog(std::filesystem::path path, LogOrigin origin = {})
      : path_(std::move(path)), origin_(std::move(origin)) {}

  void on_start(const Trainer& trainer) override;
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

/// Copies the header and the lines of a step log before step `end`. They must be whole, from step 0
/// on and without a gap; and the digest among the notes that a run goes on from, where it is there,
/// must be theirs. Returns that digest. Throws Error naming file and line.
Digest copy_step_log(const std::filesystem::path& from, AtomicFile& to, std::int64_t end,
                     const Notes& resumed);

/// Keeps `epochs.csv`: epoch,steps,loss,...,seconds with the mean of each metric over the epoch's
/// samples. Rewritten whole at each epoch. A part of an epoch gets no line: a run that ends within
/// its first epoch leaves the header alone. A name that holds a comma, a quote or a line's end
/// stands in quotes, as RFC 4180 has it.
class EpochLog : public Callback {
 public:
  explicit EpochLog(std::filesystem::path path, LogOrigin origin = {})
      : path_(std::move(path)), origin_(std::move(origin)) {}

  void on_start(const Trainer& trainer) override;
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override { write(part, ""); }
  void add_notes(Notes& notes) const override;

 private:
  void write(const EpochInfo& epoch, const std::string& row);

  std::filesystem::path path_;
  LogOrigin origin_;
  std::string text_;
};

/// One line of `epochs.csv`: a column's name and its value.
using EpochRow = std::vector<std::pair<std::string, double>>;

/// The table of an epochs.csv. It must begin with what `notes` vouch for under kEpochsNote and
/// kEpochValuesNote; lines may follow that were written since. Throws Error naming file and line.
std::vector<EpochRow> read_epochs(const std::filesystem::path& path, const Notes& notes = {});

/// "2 rows, crc32c 1a2b3c4d": the checksum of all cells of an epochs.csv but those under "seconds".
/// Throws Error as read_epochs.
std::string epoch_values_digest(const std::filesystem::path& path);

}  // namespace maskgrad
