#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/tensor/mask/explain.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/matrix_chart.hpp>
#include <maskgrad/train/report/report_sections.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

std::string parameter_table(const ReportRun& run) {
  HtmlTable table("parameters", {"parameter", "shape", "values", "min", "mean", "max", "std"});
  for (const ReportParameter& parameter : run.parameters) {
    std::string count = with_commas(parameter.shape.numel());
    if (parameter.not_finite > 0) {
      count += fmt::format(" ({} not finite)", with_commas(parameter.not_finite));
    }
    table.add_row({parameter.name, to_string(parameter.shape), count, format_number(parameter.min),
                   format_number(parameter.mean), format_number(parameter.max),
                   format_number(parameter.std)});
  }
  return table.html();
}

/// All histograms whose tag starts with `prefix`, a chart for each; "" without any.
std::string histogram_grid(const ReportRun& run, std::size_t place, std::string_view prefix,
                           const char* heading) {
  std::string charts;
  for (const ReportHistograms& histograms : run.histograms) {
    if (!histograms.tag.starts_with(prefix)) continue;
    RidgeChart chart{.title = histograms.tag.substr(prefix.size()),
                     .ridge_label = "epoch",
                     .ridges = {},
                     .color = place};
    for (const auto& [epoch, histogram] : histograms.epochs) {
      chart.ridges.push_back({std::to_string(epoch), histogram});
    }
    charts += draw(chart);
  }
  if (charts.empty()) return "";
  return fmt::format("<h3>{}</h3>\n<div class=\"grid-of-plots\">\n{}</div>\n", heading, charts);
}

std::string find_setting(const ReportRun& run, const std::string& key) {
  for (const auto& [name, value] : run.settings) {
    if (name == key) return value;
  }
  return "–";
}

}  // namespace

std::string settings_table(const ReportContent& content) {
  std::vector<std::string> keys;
  std::vector<HtmlCell> header{"setting"};
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    header.push_back({content.runs[i].name, fmt::format("run s{}", i % kPlotColors)});
    for (const auto& [key, value] : content.runs[i].settings) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  if (keys.empty()) return "<p class=\"note\">No settings were given.</p>\n";
  HtmlTable table("settings", std::move(header));
  bool any_differs = false;
  for (const std::string& key : keys) {
    std::vector<HtmlCell> cells{key};
    bool differs = false;
    for (const ReportRun& run : content.runs) {
      cells.emplace_back(find_setting(run, key));
      differs = differs || cells.back().text != cells[1].text;
    }
    table.add_row(std::move(cells), differs ? "differs" : "");
    any_differs = any_differs || differs;
  }
  const char* note = any_differs ? "<p class=\"note\">Rows marked ≠ are those in which the runs "
                                   "differ.</p>\n"
                                 : "";
  return table.html() + note;
}

std::string mask_charts(const ReportContent& content) {
  std::string charts;
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    for (const auto& [title, mask, labels, note] : content.runs[i].masks) {
      const MaskExplanation about = explain(mask);
      const std::string name = content.runs[i].name + ": " + title;
      charts += matrix_card(
          draw(MaskChart{
              .title = name, .mask = mask, .queries = labels, .keys = labels, .color = i}),
          fmt::format("<p class=\"note\">Keeps {} of {} pairs ({}).{}{}</p>\n",
                      with_commas(about.pairs_kept), with_commas(about.pairs),
                      percent_text(about.share()), note.empty() ? "" : " ", escape_html(note)));
    }
  }
  if (charts.empty()) return "";
  return "<p class=\"note\">On the first sample of the data: which queries attend to which keys. "
         "A query that does not exist attends to nothing.</p>\n" +
         matrix_grid(charts);
}

std::string run_details(const ReportContent& content, std::size_t place) {
  const ReportRun& run = content.runs[place];
  std::string out = fmt::format(
      "<details{}>\n<summary class=\"run s{}\">{} <span>· {} {}, {} values</span></summary>\n",
      content.runs.size() == 1 ? " open=\"\"" : "", place % kPlotColors, escape_html(run.name),
      run.parameters.size(), run.parameters.size() == 1 ? "parameter" : "parameters",
      with_commas(parameter_count(run)));
  if (!run.parameters.empty()) {
    out += "<h3>Parameters at the end</h3>\n" + parameter_table(run);
  }
  const std::string weights = histogram_grid(run, place, "weights/", "Weights by epoch");
  const std::string gradients =
      histogram_grid(run, place, "gradients/", "Gradients of each epoch's last step");
  if (weights.empty() && gradients.empty()) {
    out += "<p class=\"note\">There are no histograms: this run kept no logs of them.</p>\n";
  } else {
    out += weights + gradients;
    out +=
        "<p class=\"note\">Each ridge is one epoch, the last in front; ridges of a chart share "
        "one scale.</p>\n";
  }
  return out + "</details>\n";
}

}  // namespace maskgrad
