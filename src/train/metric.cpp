#include <algorithm>
#include <array>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {
namespace {

// Each is a column of a table.
void check_names(std::span<const Metric> metrics, const char* who) {
  constexpr std::array<std::string_view, 3> kColumns = {"epoch", "steps", "seconds"};
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const std::string& name = metrics[i].name;
    check(!std::ranges::count(kColumns, name), who,
          "a metric must not be called '{}', as a column of the run's tables is", name);
    check(!std::ranges::count(metrics.first(i), name, &Metric::name), who,
          "two metrics are called '{}'", name);
  }
}

}  // namespace

void add_each(std::span<Metric> sums, std::span<const Metric> metrics, const char* who) {
  check(sums.size() == metrics.size(), who, "the model gave {} metrics, before it gave {}",
        metrics.size(), sums.size());
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    check(sums[i].name == metrics[i].name, who, "the model gave metric '{}', before it gave '{}'",
          metrics[i].name, sums[i].name);
    sums[i] += metrics[i];
  }
}

void add_metrics(std::vector<Metric>& totals, std::span<const Metric> metrics, const char* who) {
  if (totals.empty()) {
    check_names(metrics, who);
    for (const Metric& metric : metrics) totals.push_back({metric.name});
  }
  add_each(totals, metrics, who);
}

}  // namespace maskgrad
