#include <cmath>

#include <fmt/format.h>

#include <maskgrad/train/report/report_words.hpp>

namespace maskgrad {

std::map<double, double> figures_of(const ReportRun& run, const std::string& metric,
                                    bool in_validation) {
  if (in_validation) {
    const auto* values = validation_of(run, metric);
    return values == nullptr ? std::map<double, double>() : *values;
  }
  std::map<double, double> values = values_of(run, metric);
  std::erase_if(values, [](const auto& one) { return one.first != std::floor(one.first); });
  return values;
}

std::optional<double> last_of(const std::map<double, double>& values) {
  if (values.empty() || !std::isfinite(values.rbegin()->second)) return std::nullopt;
  return values.rbegin()->second;
}

std::string listed(const std::vector<std::string>& words) {
  std::string list;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) list += i + 1 == words.size() ? " and " : ", ";
    list += words[i];
  }
  return list;
}

std::string in_turn(const std::vector<std::string>& phrases) {
  return fmt::format("{}", fmt::join(phrases, "; "));
}

}  // namespace maskgrad
