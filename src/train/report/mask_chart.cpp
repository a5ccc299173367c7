#include <maskgrad/train/report/matrix_chart.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {

SizedSvg draw(const MaskChart& chart) {
  check(chart.mask.defined(), "report", "a mask that says nothing cannot be drawn");
  const MatrixChart matrix(first_drawn(chart.mask.shape()[2]), first_drawn(chart.mask.shape()[3]));
  const auto from = [](const std::vector<std::string>& labels) {
    return [&labels](std::int64_t position) {
      const auto place = static_cast<std::size_t>(position);
      return place < labels.size() ? labels[place] : std::string();
    };
  };
  return matrix.picture(
      "", chart.title, chart.color,
      matrix.ground(chart.mask, 0) + matrix.labels(from(chart.queries), from(chart.keys)));
}

}  // namespace maskgrad
