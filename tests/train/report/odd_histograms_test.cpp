// Histograms as a damaged or foreign event file may hold them.
#include <cmath>
#include <iterator>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(RidgeChart, HasCoordinatesThatAreNumbersWhateverTheHistogramHolds) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const double odd[] = {0,      1,     -1,     0.5,    nan,
                        inf,    -inf,  5e-324, 1e-300, 1e200,
                        -1e200, 1e201, 1e308,  -1e308, 1.7976931348623157e308};
  Random random(5);
  const auto any = [&] { return odd[random.below(std::size(odd))]; };
  const auto numbers = [&](std::size_t most) {
    std::vector<double> values(random.below(static_cast<std::uint32_t>(most)));
    for (double& value : values) value = any();
    return values;
  };
  for (int i = 0; i < 5000; ++i) {
    RidgeChart chart{.title = "w", .ridge_label = "epoch", .ridges = {}};
    for (std::uint32_t ridge = random.below(4); ridge-- > 0;) {
      chart.ridges.push_back({"1", {any(), any(), any(), any(), any(), numbers(6), numbers(6)}});
    }
    const std::string svg = draw(chart);
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
  }
}

}  // namespace
}  // namespace maskgrad
