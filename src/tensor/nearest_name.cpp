#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include <maskgrad/tensor/nearest_name.hpp>

namespace maskgrad {
namespace {

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool are_swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (are_swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(const std::string& name, std::span<const std::string> known) {
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(name, a) < edit_distance(name, b);
      });
  // Further away than that, a suggestion would only mislead.
  const std::size_t far = std::max<std::size_t>(1, name.size() / 3);
  if (nearest != known.end() && edit_distance(name, *nearest) <= far) return *nearest;
  const auto longer = std::ranges::find_if(
      known, [&](const std::string& other) { return other.starts_with(name); });
  return name.size() < 4 || longer == known.end() ? "" : *longer;
}

std::string did_you_mean(const std::string& name, std::span<const std::string> known) {
  const std::string meant = nearest_name(name, known);
  return meant.empty() ? "" : fmt::format("; did you mean '{}'?", meant);
}

}  // namespace maskgrad
