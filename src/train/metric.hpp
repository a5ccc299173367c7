// Running means that are sums and counts until they are read.
#pragma once

#include <cstdint>
#include <string>

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

}  // namespace maskgrad
