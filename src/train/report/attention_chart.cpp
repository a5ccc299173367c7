#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/train/report/explained_section.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/matrix_chart.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kLeft = kMatrixLeft, kTop = kMatrixTop;
constexpr double kTold = 0.1, kLeast = 0.004;  // smaller weights have no title, and no cell

// A chart being drawn: the queries and keys from the first shown on.
class Chart {
 public:
  Chart(const ExplainedInput& input, const ops::SeenAttention& seen, std::int64_t head)
      : input_(input),
        seen_(seen),
        weights_(seen.weights.to(DType::kFloat64)[0][head]),
        head_(head),
        queries_(weights_.dim(0)),
        keys_(weights_.dim(1)),
        first_query_(std::max<std::int64_t>(0, queries_ - kMostDrawnPositions)),
        first_key_(std::max<std::int64_t>(0, keys_ - kMostDrawnPositions)),
        cell_(matrix_cell(queries_ - first_query_, keys_ - first_key_)) {}

  std::int64_t queries() const { return queries_ - first_query_; }
  std::int64_t keys() const { return keys_ - first_key_; }

  std::string ground() const {
    std::string cells =
        fmt::format("<rect class=\"all\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", kLeft,
                    kTop + 1, std::max<std::int64_t>(0, (keys_ - first_key_) * cell_ - 1),
                    std::max<std::int64_t>(0, (queries_ - first_query_) * cell_ - 1));
    for (std::int64_t s = first_query_; s < queries_; ++s) {
      seen_.pairs.for_each_run(0, head_, s, [&](std::int64_t lo, std::int64_t hi) {
        lo = std::max(lo, first_key_);
        if (lo >= hi) return;
        cells +=
            fmt::format("<rect class=\"kept\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                        x_of(lo), y_of(s), (hi - lo) * cell_ - 1, cell_ - 1);
      });
    }
    return cells;
  }

  std::string cells() const {
    std::array<std::string, 10> pale;  // many, in one path for each shade
    std::string told;
    for (std::int64_t s = first_query_; s < queries_; ++s) {
      for (std::int64_t t = first_key_; t < keys_; ++t) {
        const double weight = weights_.data<double>()[s * keys_ + t];
        if (!(weight >= kLeast)) continue;
        if (weight >= kTold) {
          told += cell(s, t, weight);
        } else {
          pale[static_cast<std::size_t>(weight / kTold * 10)] +=
              fmt::format("M{} {}h{}v{}h-{}z", x_of(t), y_of(s), cell_ - 1, cell_ - 1, cell_ - 1);
        }
      }
    }
    std::string paths;
    for (std::size_t i = 0; i < pale.size(); ++i) {
      if (pale[i].empty()) continue;
      paths += fmt::format("<path class=\"weight\" fill-opacity=\"{:.2f}\" d=\"{}\"/>\n",
                           std::sqrt((static_cast<double>(i) + 0.5) / 10 * kTold), pale[i]);
    }
    return paths + told;
  }

  std::string labels() const {
    std::string text =
        label("label", kLeft + 6, kTop - 26, "keys") + label("label", 4, kTop - 26, "queries");
    for (std::int64_t t = first_key_; t < keys_; ++t) {
      text += label("tick mid", x_of(t) + cell_ / 2, kTop - 8, shorten(token(t, keys_), 2));
    }
    for (std::int64_t s = first_query_; s < queries_; ++s) {
      text += label("tick end", kLeft - 8, y_of(s) + cell_ - 2, shorten(token(s, queries_), 4));
    }
    return text;
  }

 private:
  std::int64_t x_of(std::int64_t t) const { return kLeft + (t - first_key_) * cell_; }
  std::int64_t y_of(std::int64_t s) const { return kTop + (s - first_query_) * cell_ + 1; }

  std::string cell(std::int64_t s, std::int64_t t, double weight) const {
    const std::string what = fmt::format("query {} {} to key {} {}: {:.2f}", s, token(s, queries_),
                                         t, token(t, keys_), weight);
    return fmt::format(
        "<rect class=\"weight\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
        "fill-opacity=\"{:.2f}\"><title>{}</title></rect>\n",
        x_of(t), y_of(s), cell_ - 1, cell_ - 1, std::sqrt(std::min(1.0, weight)),
        escape_html(what));
  }

  static std::string label(const char* css, std::int64_t x, std::int64_t y,
                           const std::string& text) {
    return fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", css, x, y,
                       escape_html(text));
  }

  // Of `all` positions; another sequence's have no tokens here.
  std::string token(std::int64_t position, std::int64_t all) const {
    if (all != input_.length()) return std::to_string(position);
    return token_text(input_.tokens[static_cast<std::size_t>(position)]);
  }

  const ExplainedInput& input_;
  const ops::SeenAttention& seen_;
  const Tensor weights_;
  std::int64_t head_, queries_, keys_, first_query_, first_key_, cell_;
};

}  // namespace

std::string token_text(const std::string& token) {
  return token == " " || token == "space" ? "␣" : token;
}

std::string draw_weights(const ExplainedInput& input, const ops::SeenAttention& seen,
                         std::int64_t head, const std::string& title, std::size_t color) {
  const Chart chart(input, seen, head);
  return fmt::format("{}{}{}{}</svg>\n",
                     matrix_start({" weights", title, color, chart.queries(), chart.keys()}),
                     chart.ground(), chart.cells(), chart.labels());
}

}  // namespace maskgrad
