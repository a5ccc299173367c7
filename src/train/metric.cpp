#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

void add_metrics(std::vector<Metric>& totals, std::span<const Metric> metrics, const char* who) {
  if (totals.empty()) {
    for (const Metric& metric : metrics) totals.push_back({metric.name});
  }
  check(totals.size() == metrics.size(), who, "the model gave {} metrics, before it gave {}",
        metrics.size(), totals.size());
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    check(totals[i].name == metrics[i].name, who, "the model gave metric '{}', before it gave '{}'",
          metrics[i].name, totals[i].name);
    totals[i] += metrics[i];
  }
}

}  // namespace maskgrad
