// What a run folder says about a run, ready to be shown.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/formats/graph_def.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>

namespace maskgrad {

struct ExplainedInput;

/// A parameter as the run left it. The statistics are over its finite values, std that of all of
/// them (not of a sample); 0 when there are none.
struct ReportParameter {
  std::string name;
  Shape shape;
  std::int64_t not_finite = 0;
  double min = 0;
  double mean = 0;
  double max = 0;
  double std = 0;
};

/// The histograms of one tag, "weights/<parameter>" or "gradients/<parameter>", by epoch.
struct ReportHistograms {
  std::string tag;
  std::map<std::int64_t, Histogram> epochs;
};

/// The values of one metric on validation data, by epoch. 1.5 is the middle of the second epoch.
struct ReportValidation {
  std::string metric;  // "loss"
  std::map<double, double> values;
};

/// Which pairs a model lets attend to each other, on one sample.
struct ReportMask {
  std::string title;                // "reflect"
  AttentionMask mask;               // [1, 1, S, T]
  std::vector<std::string> labels;  // of the positions: tokens
  std::string note = {};            // what a reader should know of it
};

/// A possible answer, and how probable the model holds it.
struct ReportAnswer {
  std::string text;
  double probability = 0;
};

/// What a model answers to a question.
struct ReportExample {
  std::string question;
  std::string right;                  // the right answer; empty: not known
  std::vector<ReportAnswer> answers;  // the most probable first; none: the model has no answer
};

/// What a token is good for, where that is known.
enum class TokenRole : std::uint8_t { kOther, kNeeded, kJunk };

/// A token of an input, and whether a learned mask keeps it.
struct ReportToken {
  std::string text;
  bool kept = true;
  TokenRole use = TokenRole::kOther;
};

/// The smallest validation loss, and the steps that were done by then.
struct BestValidation {
  double loss;
  std::int64_t step;
  std::string data = {};  ///< the fingerprint of the data it was measured on; empty: not known
};

struct ReportRun {
  std::string name;
  /// What it was trained to do: its recipe, or what the program of its own calls it.
  std::string task = {};
  std::string training_data = {}, validation_data = {};  // fingerprints; empty: not known
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<EpochRow> epochs;
  std::vector<ReportParameter> parameters;
  std::vector<ReportHistograms> histograms;
  std::vector<ReportMask> masks = {};
  std::shared_ptr<const ExplainedInput> explained = {};  // one input, see explained_input.hpp
  std::vector<ReportExample> examples = {};
  std::vector<std::pair<std::string, double>> results = {};  // figures of results.json, by name
  std::optional<std::int64_t> results_step = {};  // the steps that were done by then; none: unknown
  /// Rows of a table, the first of them its heading: what was chosen for which questions.
  std::vector<std::vector<std::string>> choices = {};
  std::vector<std::vector<ReportToken>> kept = {};  // inputs, as a learned mask left them
  std::vector<ReportValidation> validation = {};
  std::optional<BestValidation> best = {};  // nothing: it never validated
  std::string held_out = {};  // a sentence: where figures on data that it has not seen are
  std::vector<std::string> warnings = {};  // what went wrong, and what could not be read
  ModelGraph graph = {};                   // of the model; without nodes where the logs hold none
};

/// Reads `epochs.csv`, `model.safetensors` and, where there are any, `validation.csv` and the event
/// files in `logs` of a run folder; `task`, `settings`, `masks` and `examples` stay empty. The
/// table must match the digests in the notes of the model and of the newest checkpoint, where they
/// hold one. Where these tell of a part of an epoch behind the table, it is the last row, see
/// epoch_part(). A histogram belongs to the epoch that ended at its step. One at another step is
/// left out. Where a run that went on wrote a step again, its last file counts. A validation point
/// has its place between the ends of epochs, by its step. Those that validation.csv lacks come from
/// the event files. Of a damaged event file what comes before the damage counts, and a warning says
/// so. A warning also names what is missing from an event file that was cut between two events.
/// Parameters come in the order of the first histograms, or without histograms in the order of
/// their names. Throws Error naming the file that is missing or broken, and "[report]
/// 'x/epochs.csv': has no column 'steps'".
ReportRun load_report_run(const std::filesystem::path& folder, std::string name);

/// The events of a folder's files in the order of their names, as TensorBoard reads them, without
/// those that a later restart made void. What is damaged is left out, and `warnings` get a line
/// about it. None where there is no folder.
std::vector<Event> read_event_folder(const std::filesystem::path& folder,
                                     std::vector<std::string>& warnings);

/// The notes in a file; neither where there is none.
struct FileNotes {
  std::filesystem::path file;
  Notes notes;
};

/// The notes of a run folder's newest checkpoint; none where there is none, or where it is damaged,
/// about which `warnings` get a line.
FileNotes newest_notes(const std::filesystem::path& folder, std::vector<std::string>& warnings);

/// The best validation that the notes of a checkpoint or model tell; nothing where they tell none.
/// Throws Error for a damaged note, naming `file`.
std::optional<BestValidation> best_validation(const Notes& notes,
                                              const std::filesystem::path& file);

/// Whether the run has steps behind those of its results, in its table of epochs or in the part of an
/// epoch behind it.
bool has_older_results(const ReportRun& run);

/// The steps of the last row where it is a part of an epoch, of which its figures are means; 0
/// where it is a whole one, and where there is none.
std::int64_t steps_in_part(const std::vector<EpochRow>& epochs);
/// " (mean of 1 step)"; "" for 0 steps.
std::string mean_of_steps(std::int64_t steps);

}  // namespace maskgrad
