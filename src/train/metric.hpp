// Running means that are sums and counts until they are read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace maskgrad {

struct Metric {
  std::string name;  // up to 15 characters allocate nothing
  double sum = 0.0;
  std::int64_t count = 0;

  double mean() const { return count ? sum / static_cast<double>(count) : 0.0; }
  Metric& operator+=(const Metric& other) {
    sum += other.sum;
    count += other.count;
    return *this;
  }
};

/// Adds each of `metrics` to the one of `sums` in the same place. Throws Error "[<who>] ..." when
/// their number or a name differs.
void add_each(std::span<Metric> sums, std::span<const Metric> metrics, const char* who);

/// Adds the metrics of one more batch to `totals`. These are empty before the first batch. Throws
/// Error "[<who>] ..." when their number or a name differs from the batches before, when two have
/// one name, and for the names epoch, steps and seconds, which tables of metrics have, too.
void add_metrics(std::vector<Metric>& totals, std::span<const Metric> metrics, const char* who);

}  // namespace maskgrad
