// An explained input as HTML: a part of a report, or a page by itself.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <maskgrad/train/report/explained_input.hpp>

namespace maskgrad {

struct ReportContent;
struct SizedSvg;  // of svg_plot.hpp

/// The weights of one head, with the tokens beside. A darker cell is a larger weight, and one of at
/// least 0.1 tells its number where the pointer rests. At most 128 queries and keys are drawn, the
/// last.
SizedSvg draw_weights(const ExplainedInput& input, const ops::SeenAttention& seen,
                      std::int64_t head, const std::string& title, std::size_t color);

/// A token in little room: a space is "␣".
std::string token_text(const std::string& token);

/// Answer, tokens, masks, attention of every layer and head, and what it cost, under headings
/// <h2> to <h4>.
std::string explained_body(const ExplainedInput& input, std::size_t color, int heading);
/// The same for each run that has one, under its name; "" without any.
std::string explained_inputs(const ReportContent& content);
/// The rules that these need on top of plot_style() and report_style().
std::string_view explained_style();

/// A self-contained page, without scripts or anything to fetch. Equal input gives equal bytes.
std::string render_explanation(std::string_view title, const ExplainedInput& input);

}  // namespace maskgrad
