#include <algorithm>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/report_columns.hpp>

namespace maskgrad {
namespace {

std::string last_value(const std::map<double, double>& values) {
  return values.empty() ? kNothing : format_number(values.rbegin()->second);
}

std::string last_validation(const ReportRun& run, const std::string& metric) {
  const auto* values = validation_of(run, metric);
  return values == nullptr ? kNothing : last_value(*values);
}

/// A table with a column for each run and each reference.
class SummaryTable {
 public:
  explicit SummaryTable(const ReportContent& content)
      : content_(content), table_("summary", headings(content)) {}

  template <class OfRun>
  void add(const std::string& name, OfRun of_run) {
    add(name, of_run, [](const ReferenceCurve&) { return std::string(kNothing); });
  }
  template <class OfRun, class OfReference>
  void add(const std::string& name, OfRun of_run, OfReference of_reference) {
    std::vector<HtmlCell> cells{name};
    for (const ReportRun& run : content_.runs) cells.emplace_back(of_run(run));
    for (const ReferenceCurve& curve : content_.references) {
      cells.emplace_back(of_reference(curve));
    }
    table_.add_row(std::move(cells));
  }
  std::string html() const { return table_.html(); }

 private:
  static std::vector<HtmlCell> headings(const ReportContent& content) {
    std::vector<HtmlCell> header{""};
    for (std::size_t i = 0; i < content.runs.size(); ++i) {
      header.push_back(heading_of(content.runs[i], i));
    }
    for (const ReferenceCurve& curve : content.references) header.push_back(heading_of(curve));
    return header;
  }

  const ReportContent& content_;
  HtmlTable table_;
};

void add_validation(SummaryTable& table, const ReportContent& content) {
  for (const std::string& metric : report_metrics(content)) {
    if (!has_validation(content, metric)) continue;
    table.add("final validation " + metric,
              [&](const ReportRun& run) { return last_validation(run, metric); });
  }
  const auto has_best = [](const ReportRun& run) { return run.best.has_value(); };
  if (!std::ranges::any_of(content.runs, has_best)) return;
  table.add("best validation loss", [](const ReportRun& run) {
    return run.best ? format_number(run.best->loss) : kNothing;
  });
  table.add("after step",
            [](const ReportRun& run) { return run.best ? with_commas(run.best->step) : kNothing; });
}

void add_training(SummaryTable& table, const ReportContent& content) {
  for (const std::string& metric : report_metrics(content)) {
    table.add(
        "final training " + metric,
        [&](const ReportRun& run) {
          const auto values = values_of(run, metric);
          if (values.empty()) return std::string(kNothing);
          return last_value(values) + mean_of_steps(steps_in_part(run.epochs));
        },
        [&](const ReferenceCurve& curve) {
          return curve.metric == metric ? last_value(values_of(curve)) : kNothing;
        });
  }
}

}  // namespace

std::string summary_table(const ReportContent& content) {
  SummaryTable table(content);
  add_validation(table, content);
  add_training(table, content);
  table.add(
      "epochs", [](const ReportRun& run) { return epochs_text(epochs_in(run)); },
      [](const ReferenceCurve& curve) { return std::to_string(curve.values.size()); });
  table.add("steps", steps_text);
  table.add("parameters", [](const ReportRun& run) { return with_commas(parameter_count(run)); });
  table.add("seconds", seconds_text);
  table.add("ms a step (median of epochs)", step_time_text);
  return table.html();
}

}  // namespace maskgrad
