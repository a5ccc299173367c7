#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/explained_section.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/model_chart.hpp>
#include <maskgrad/train/report/report_sections.hpp>
#include <maskgrad/train/report/report_words.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

std::string card(const std::string& body) { return "<div class=\"card\">\n" + body + "</div>\n"; }

std::string lead(std::span<const ReportRun> runs) {
  double epochs = 0;
  for (const ReportRun& run : runs) epochs = std::max(epochs, epochs_in(run));
  const std::int64_t parameters = parameter_count(runs.front());
  const bool same_size = std::all_of(runs.begin(), runs.end(), [&](const ReportRun& run) {
    return parameter_count(run) == parameters;
  });
  std::string text = fmt::format("{}, {} {}", count_of(std::ssize(runs), "run"),
                                 epochs_text(epochs), epochs == 1 ? "epoch" : "epochs");
  if (same_size) text += fmt::format(", {} parameters", with_commas(parameters));
  return "<p class=\"lead\">" + text + "</p>\n";
}

/// What went wrong, and what could not be read, a line each.
std::string warnings(std::span<const ReportRun> runs, std::span<const std::string> notes) {
  std::string text;
  for (const std::string& note : notes) {
    text += fmt::format("<p class=\"note\">{}</p>\n", escape_html(note));
  }
  for (const ReportRun& run : runs) {
    for (const std::string& warning : run.warnings) {
      text += fmt::format("<p class=\"note\">{}: {}</p>\n", escape_html(run.name),
                          escape_html(warning));
    }
  }
  return text;
}

bool has_reference(const ReportContent& content, const std::string& metric) {
  return std::any_of(content.references.begin(), content.references.end(),
                     [&](const ReferenceCurve& curve) { return curve.metric == metric; });
}

std::string curves(const ReportContent& content, std::span<const std::string> metrics) {
  std::string body = "<div class=\"pair\">\n";
  for (const std::string& metric : metrics) {
    if (const std::string chart = validation_chart(content, metric); !chart.empty()) {
      body += card(chart);
    }
    body += card(metric_chart(content, metric) + parts_note(content, metric) +
                 equal_runs_note(content, metric));
  }
  return body + "</div>\n" + reference_notes(content);
}

/// Tables of the first metric, which is the loss, and of every other that has a reference.
std::string tables(const ReportContent& content, std::span<const std::string> metrics) {
  std::string body;
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    if (i > 0 && !has_reference(content, metrics[i])) continue;
    body += fmt::format("<h3>{} by epoch</h3>\n", escape_html(capitalized(metrics[i])));
    body += card(metric_table(content, metrics[i]));
  }
  return body;
}

}  // namespace

std::string report_title(std::span<const ReportRun> runs) {
  constexpr std::size_t kMost = 4;
  std::vector<std::string> tasks;
  for (const ReportRun& run : runs) {
    if (std::ranges::find(tasks, run.task) == tasks.end()) tasks.push_back(run.task);
  }
  if (tasks.size() > kMost) {
    const std::size_t more = tasks.size() - (kMost - 1);
    tasks.resize(kMost - 1);
    tasks.push_back(fmt::format("{} more", more));
  }
  return fmt::format("maskgrad: {}", listed(tasks));
}

std::string render_report(std::string_view title, std::span<const ReportRun> runs,
                          std::span<const ReferenceCurve> references,
                          std::span<const std::string> notes) {
  check(!runs.empty(), "report", "needs at least one run");
  const ReportContent content{runs, references};
  const std::vector<std::string> metrics = report_metrics(content);
  std::string details;
  for (std::size_t i = 0; i < runs.size(); ++i) details += run_details(content, i);
  std::string navigation, body;
  const auto add = [&](const char* id, const char* heading, const std::string& text) {
    navigation += fmt::format("<a href=\"#{}\">{}</a>\n", id, heading);
    body += fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", id, heading, text);
  };
  add("summary", "Summary",
      conclusions(content) + card(summary_table(content)) + warnings(runs, notes));
  if (!metrics.empty()) {
    add("curves", "Curves", curves(content, metrics) + tables(content, metrics));
  } else {
    add("curves", "Curves", "<p class=\"note\">No epoch was finished.</p>\n");
  }
  if (const std::string results = results_table(content); !results.empty()) {
    add("results", "Results", card(results));
  }
  if (const std::string choices = choice_tables(content); !choices.empty()) {
    add("choices", "What is chosen for what", card(choices));
  }
  if (const std::string kept = kept_inputs(content); !kept.empty()) {
    add("kept", "What the mask keeps", card(kept));
  }
  if (const std::string examples = example_table(content); !examples.empty()) {
    add("answers", "Answers", card(examples));
  }
  if (const std::string models = model_charts(content); !models.empty()) {
    add("model", "Model", models);
  }
  if (const std::string masks = mask_charts(content); !masks.empty()) {
    add("masks", "Masks", masks);
  }
  if (const std::string explained = explained_inputs(content); !explained.empty()) {
    add("explained", "One input, explained", explained);
  }
  add("settings", "Settings", card(settings_table(content)));
  add("parameters", "Parameters and histograms", details);
  const std::string name = escape_html(title);
  std::string page = fmt::format("{}<title>{}</title>\n", kReportStart, name);
  page += fmt::format("<style>\n{}{}{}{}</style>\n</head>\n", plot_style(), report_style(),
                      model_chart_style(), explained_style());
  page += "<body>\n<header>\n<h1>" + name + "</h1>\n" + lead(runs);
  page += "<nav>\n" + navigation + "</nav>\n</header>\n<main>\n" + body;
  return page + "</main>\n<footer></footer>\n</body>\n</html>\n";
}

}  // namespace maskgrad
