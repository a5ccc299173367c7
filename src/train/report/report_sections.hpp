// The parts of a report, each an HTML fragment. See report.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/report/report.hpp>

namespace maskgrad {

/// What a report is about.
struct ReportContent {
  std::span<const ReportRun> runs;
  std::span<const ReferenceCurve> references;
};

/// Columns that are neither `epoch`, `steps` nor `seconds`, and metrics of references, in order of
/// first appearance.
std::vector<std::string> report_metrics(const ReportContent& content);

/// Elements in all parameters of a run.
std::int64_t parameter_count(const ReportRun& run);

/// Epochs of a run, 1.25 where it ended with a quarter of its second one; and such a number as
/// text, with two decimals or as many more as tell a part from a whole number: "1.996".
double epochs_in(const ReportRun& run);
std::string epochs_text(double epochs);

/// What stands in a table where nothing is known.
inline constexpr const char* kNothing = "–";
/// The steps of a run.
std::string steps_text(const ReportRun& run);
/// The seconds of all epochs and of the part of one behind them, where each tells its time.
std::string seconds_text(const ReportRun& run);
/// The median over whole epochs of an epoch's time by its steps, in milliseconds: an epoch that was
/// interrupted, whose time is not all known, does not move it.
std::string step_time_text(const ReportRun& run);

/// How the runs end beside each other, a sentence each: on validation data where two have some,
/// else in training. Runs of different tasks are not ranked among each other, nor is the mean of a
/// part of an epoch. Where the runs of a task are known to have different data, a sentence says so.
std::vector<std::string> about_runs(const ReportContent& content,
                                    const std::vector<std::string>& metrics);
/// What the figures come to, a sentence or two for each comparison: of validation with training, of
/// the runs with each other, and of the runs with each reference. A list.
std::string conclusions(const ReportContent& content);
/// What the references are, and where they come from; "" without any.
std::string reference_notes(const ReportContent& content);
/// Questions as rows, runs as columns: answers and their probabilities; "" without any.
std::string example_table(const ReportContent& content);
/// Figures of examinations as rows, runs as columns, and the time that masks save; "" without any.
std::string results_table(const ReportContent& content);
/// For each run that has one, the table of what was chosen for which questions; "" without any.
std::string choice_tables(const ReportContent& content);
/// Inputs as learned masks leave them, drawn over their tokens; "" without any.
std::string kept_inputs(const ReportContent& content);
/// Runs as columns; final metrics, epochs, steps, parameters and time as rows. Validation first.
std::string summary_table(const ReportContent& content);
/// A metric of all runs and its references, by epoch; without a part of an epoch behind whole ones.
std::string metric_chart(const ReportContent& content, const std::string& metric);
/// Which runs have such a part, which the chart leaves out; "" where none has.
std::string parts_note(const ReportContent& content, const std::string& metric);
/// A metric of all runs on validation data, by epoch; "" where no run has it.
std::string validation_chart(const ReportContent& content, const std::string& metric);
/// The metric in numbers, with each run's difference from each reference.
std::string metric_table(const ReportContent& content, const std::string& metric);
/// A sentence for each group of runs that have the same values at every epoch; "" without any.
std::string equal_runs_note(const ReportContent& content, const std::string& metric);
/// Settings as rows, runs as columns; rows that are not equal everywhere are marked. A sentence
/// where no run has any.
std::string settings_table(const ReportContent& content);
/// The masks of all runs, drawn, with what each keeps in numbers; "" without any.
std::string mask_charts(const ReportContent& content);
/// A run's parameters, and its histograms by epoch or a sentence that there are none, to be folded.
/// `place` is the run's among the runs.
std::string run_details(const ReportContent& content, std::size_t place);

/// The page's own rules, on top of plot_style().
std::string_view report_style();

}  // namespace maskgrad
