#include <algorithm>
#include <numeric>
#include <vector>

#include <fmt/core.h>

#include <maskgrad/tensor/nearest_name.hpp>

namespace maskgrad {
namespace {

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string did_you_mean(const std::string& name, std::span<const std::string> known) {
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(name, a) < edit_distance(name, b);
      });
  // Further away than that, a suggestion would only mislead.
  const std::size_t far = name.size() < 4 ? 1 : std::max<std::size_t>(2, name.size() / 3);
  if (nearest != known.end() && edit_distance(name, *nearest) <= far) {
    return fmt::format("; did you mean '{}'?", *nearest);
  }
  const auto longer = std::ranges::find_if(
      known, [&](const std::string& other) { return other.starts_with(name); });
  if (name.size() < 4 || longer == known.end()) return "";
  return fmt::format("; did you mean '{}'?", *longer);
}

}  // namespace maskgrad
