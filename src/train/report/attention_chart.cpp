#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/train/report/explained_section.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/matrix_chart.hpp>

namespace maskgrad {
namespace {

constexpr double kTold = 0.1, kLeast = 0.004;  // smaller weights have no title, and no cell

// The weights of a head on a matrix that is being drawn.
class Weights {
 public:
  Weights(const ExplainedInput& input, const Tensor& weights, const MatrixChart& matrix)
      : input_(input), weights_(weights), matrix_(matrix) {}

  std::string cells() const {
    std::array<std::string, 10> pale;  // many, in one path for each shade
    std::string told;
    const std::int64_t size = matrix_.size();
    for (std::int64_t s = matrix_.queries().first; s < matrix_.queries().end; ++s) {
      for (std::int64_t t = matrix_.keys().first; t < matrix_.keys().end; ++t) {
        const double weight = weights_.data<double>()[s * weights_.dim(1) + t];
        if (!(weight >= kLeast)) continue;
        if (weight >= kTold) {
          told += cell(s, t, weight);
        } else {
          pale[static_cast<std::size_t>(weight / kTold * 10)] +=
              fmt::format("M{} {}h{}v{}h-{}z", matrix_.x_of(t), matrix_.y_of(s), size, size, size);
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
    return matrix_.labels([&](std::int64_t s) { return query(s); },
                          [&](std::int64_t t) { return key(t); });
  }

 private:
  std::string cell(std::int64_t s, std::int64_t t, double weight) const {
    const std::string what =
        fmt::format("query {} {} to key {} {}: {:.2f}", s, query(s), t, key(t), weight);
    return fmt::format(
        "<rect class=\"weight\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
        "fill-opacity=\"{:.2f}\"><title>{}</title></rect>\n",
        matrix_.x_of(t), matrix_.y_of(s), matrix_.size(), matrix_.size(),
        std::sqrt(std::min(1.0, weight)), escape_html(what));
  }

  std::string query(std::int64_t s) const { return token(s, weights_.dim(0)); }
  std::string key(std::int64_t t) const { return token(t, weights_.dim(1)); }

  // Of `all` positions; another sequence's have no tokens here.
  std::string token(std::int64_t position, std::int64_t all) const {
    if (all != input_.length()) return std::to_string(position);
    return token_text(input_.tokens[static_cast<std::size_t>(position)]);
  }

  const ExplainedInput& input_;
  const Tensor& weights_;
  const MatrixChart& matrix_;
};

}  // namespace

std::string token_text(const std::string& token) {
  return token == " " || token == "space" ? "␣" : token;
}

SizedSvg draw_weights(const ExplainedInput& input, const ops::SeenAttention& seen,
                      std::int64_t head, const std::string& title, std::size_t color) {
  const Tensor weights = seen.weights.to(DType::kFloat64)[0][head];
  const MatrixChart matrix(last_drawn(weights.dim(0)), last_drawn(weights.dim(1)));
  const Weights drawn(input, weights, matrix);
  return matrix.picture(" weights", title, color,
                        matrix.ground(seen.pairs, head) + drawn.cells() + drawn.labels());
}

}  // namespace maskgrad
