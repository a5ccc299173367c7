#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

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
    for (const Metric& metric : metrics) totals.push_back({metric.name});
  }
  add_each(totals, metrics, who);
}

}  // namespace maskgrad
