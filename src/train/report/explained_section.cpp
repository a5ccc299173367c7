#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/report/explained_section.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/matrix_chart.hpp>
#include <maskgrad/train/report/report_sections.hpp>
#include <maskgrad/train/report/report_words.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

using ops::SeenAttention;

std::string paragraph(const std::string& text, const char* css = "note") {
  return text.empty() ? "" : fmt::format("<p class=\"{}\">{}</p>\n", css, escape_html(text));
}

// Writes the parts of one input.
class Section {
 public:
  Section(const ExplainedInput& input, std::size_t color, int heading)
      : input_(input), color_(color), heading_(heading) {}

  std::string html() const {
    return "<div class=\"explained\">\n" + answer() + tokens() + attention() + work() + "</div>\n";
  }

 private:
  std::string heading(const char* text) const {
    return fmt::format("<h{0}>{1}</h{0}>\n", heading_, text);
  }

  std::string answer() const {
    std::string rows;
    for (const auto& [text, probability] : input_.answers) {
      rows += fmt::format(
          "<tr><th scope=\"row\"><code>{}</code></th><td>{:.4f}</td>"
          "<td class=\"bar\"><i style=\"width:{:.1f}%\"></i></td></tr>\n",
          escape_html(token_text(text)), probability, 100 * std::clamp(probability, 0.0, 1.0));
    }
    std::string body = fmt::format("<p><code>{}</code></p>\n", escape_html(input_.text));
    if (!input_.steps.empty()) {
      body += fmt::format("<p>{} <code>{}</code></p>\n", escape_html(capitalized(input_.steps_are)),
                          escape_html(input_.steps));
    }
    body += fmt::format(
        "<table class=\"answers s{}\"><thead><tr><th scope=\"col\">{}</th>"
        "<th scope=\"col\" colspan=\"2\">probability</th></tr></thead>\n"
        "<tbody>\n{}</tbody></table>\n",
        color_ % kPlotColors, escape_html(input_.answers_are), rows);
    return heading("Answer") + "<div class=\"card\">\n" + body + "</div>\n";
  }

  std::string tokens() const {
    std::string list;
    for (std::int64_t i = 0; i < input_.length(); ++i) {
      const char* css = !input_.is_there(i) ? " class=\"hole\""
                        : i >= input_.given ? " class=\"written\""
                                            : "";
      list += fmt::format("<li{}><b>{}</b><span>{}</span></li>\n", css,
                          escape_html(token_text(input_.tokens[static_cast<std::size_t>(i)])), i);
    }
    std::string note = about_tokens(input_);
    if (input_.existing() < input_.length()) note += " Padding is dashed.";
    if (input_.given < input_.existing()) note += " What the model wrote is coloured.";
    return heading("Tokens, and which positions exist") +
           fmt::format("<div class=\"card s{}\">\n<ol class=\"tokens\">\n{}</ol>\n{}</div>\n",
                       color_ % kPlotColors, list, paragraph(note));
  }

  std::string attention() const {
    if (input_.attention.empty()) {
      return heading("Attention") + paragraph("The model has no attention.");
    }
    std::string charts = mask_cards();
    const bool is_one = input_.attention.size() == 1;
    if (is_one) charts += head_cards(0);
    std::string text = heading("Masks and attention") + matrix_grid(charts) + legend() + cut() +
                       paragraph(about_padding(input_));
    for (std::size_t l = 0; l < input_.attention.size(); ++l) {
      const SeenAttention& seen = input_.attention[l];
      if (!is_one) {
        text += fmt::format("<details{}>\n<summary>Layer {}: {}</summary>\n{}</details>\n",
                            l == 0 ? " open=\"\"" : "", l, escape_html(seen.layer),
                            matrix_grid(head_cards(l)));
      }
      text += paragraph(about_bias(seen).empty() ? "" : seen.layer + ": " + about_bias(seen));
    }
    return text;
  }

  // What the charts leave out.
  std::string cut() const {
    const std::int64_t most = input_.most_positions();
    if (most <= kMostDrawnPositions) return "";
    return paragraph(fmt::format(
        "Of {0} positions a mask is drawn for the first {1}, and weights for the last {1}.", most,
        kMostDrawnPositions));
  }

  std::string mask_title(const MaskInUse& mask) const {
    return "Mask of " + mask.users(input_.attention.size());
  }

  std::string head_title(std::size_t l, std::int64_t h) const {
    const SeenAttention& seen = input_.attention[l];
    const bool is_only = seen.weights.dim(1) == 1 && input_.attention.size() == 1;
    return is_only ? "Weights of " + seen.layer : fmt::format("Layer {}, head {}", l, h);
  }

  std::string mask_cards() const {
    std::string cards;
    for (const MaskInUse& mask : masks_in_use(input_)) {
      const Shape& pairs = mask.pairs.shape();
      const SizedSvg chart = draw(MaskChart{.title = mask_title(mask),
                                            .mask = mask.pairs,
                                            .queries = labels(pairs[2]),
                                            .keys = labels(pairs[3]),
                                            .color = color_});
      cards += matrix_card(chart, paragraph(about_mask(mask)));
    }
    return cards;
  }

  std::string head_cards(std::size_t l) const {
    const SeenAttention& seen = input_.attention[l];
    const std::int64_t heads = seen.weights.dim(1);
    std::string cards;
    for (std::int64_t h = 0; h < heads; ++h) {
      cards += matrix_card(draw_weights(input_, seen, h, head_title(l, h), color_), "");
    }
    return cards;
  }

  // Labels for so many positions, if they are those of the tokens.
  std::vector<std::string> labels(std::int64_t positions) const {
    std::vector<std::string> all;
    if (positions != input_.length()) return all;
    for (const std::string& token : input_.tokens) all.push_back(token_text(token));
    return all;
  }

  std::string legend() const {
    std::string squares = "<span><i class=\"none\"></i> 0</span>\n";
    for (const double weight : {0.05, 0.25, 0.5, 1.0}) {
      squares += fmt::format("<span><i style=\"opacity:{:.2f}\"></i> {:g}</span>\n",
                             std::sqrt(weight), weight);
    }
    return fmt::format(
        "<p class=\"note legend s{}\">A line for each query, a column for each key. "
        "Weights: <span><i class=\"no\"></i> not kept</span>\n{}</p>\n",
        color_ % kPlotColors, squares);
  }

  std::string work() const {
    if (input_.attention.empty()) return "";
    HtmlTable table("work", {"layer", "pairs kept", "of", "share", "pairs computed",
                             "multiply-adds done", "saved"});
    for (std::size_t l = 0; l < input_.attention.size(); ++l) {
      const SeenAttention& seen = input_.attention[l];
      std::vector<HtmlCell> cells{fmt::format("{} {}", l, seen.layer)};
      for (std::string& cell : work_cells(seen)) cells.emplace_back(std::move(cell));
      table.add_row(std::move(cells));
    }
    std::string notes;
    for (const std::string& line : about_work(input_)) notes += paragraph(line);
    return heading("What was kept, and what it cost") + "<div class=\"card\">\n" + table.html() +
           notes + "</div>\n";
  }

  const ExplainedInput& input_;
  std::size_t color_;
  int heading_;
};

}  // namespace

std::string explained_body(const ExplainedInput& input, std::size_t color, int heading) {
  return Section(input, color, heading).html();
}

std::string explained_inputs(const ReportContent& content) {
  std::string text;
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    const ReportRun& run = content.runs[i];
    if (!run.explained) continue;
    const bool is_first = text.empty();
    text +=
        fmt::format("<details class=\"one-input\"{}>\n<summary class=\"run s{}\">{}</summary>\n",
                    is_first ? " open=\"\"" : "", i % kPlotColors, escape_html(run.name));
    text += explained_body(*run.explained, i, 3) + "</details>\n";
  }
  return text;
}

std::string_view explained_style() {
  return R"css(code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.explained>h3:first-child{margin-top:.8em}
.weights .kept{fill:var(--surface)}.weights .weight{fill:var(--series)}
.tokens{display:flex;flex-wrap:wrap;gap:5px;list-style:none;margin:0;padding:0}
.tokens li{min-width:1.9em;text-align:center;border:1px solid var(--edge);border-radius:6px;
padding:2px 4px;line-height:1.25}
.tokens b{display:block;font-weight:600;font-family:ui-monospace,Menlo,Consolas,monospace}
.tokens span{font-size:.72rem;color:var(--soft)}
.tokens .hole{border-style:dashed;opacity:.6}
.tokens .written{border-color:var(--series)}.tokens .written b{color:var(--series)}
.answers{min-width:0;width:100%;max-width:34em}.answers .bar{width:50%;text-align:left}
.answers thead th{min-width:0;white-space:normal}
.answers i{display:block;height:.8em;background:var(--series);border-radius:2px}
.legend span{white-space:nowrap;margin-right:.5em}
.legend i{display:inline-block;width:.9em;height:.9em;vertical-align:-.1em;background:var(--series)}
.legend .none{background:none;box-shadow:inset 0 0 0 1px var(--edge)}.legend .no{background:var(--grid)}
.explained .card>:first-child{margin-top:0}
.explained details{margin:14px 0 0}
)css";
}

std::string render_explanation(std::string_view title, const ExplainedInput& input) {
  const std::string name = escape_html(title);
  std::string page = fmt::format("{}<title>{}</title>\n", kReportStart, name);
  page += fmt::format("<style>\n{}{}{}</style>\n</head>\n", plot_style(), report_style(),
                      explained_style());
  page += "<body>\n<header>\n<h1>" + name + "</h1>\n" +
          "<p class=\"lead\">One input, and what the model makes of it.</p>\n</header>\n<main>\n";
  return page + explained_body(input, 0, 2) + "</main>\n<footer></footer>\n</body>\n</html>\n";
}

}  // namespace maskgrad
