#include <cmath>
#include <numeric>

#include <maskgrad/layers/task_gate/entropy.hpp>

namespace maskgrad {

double entropy_of(std::span<const double> weights) {
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  for (const double weight : weights) {
    if (weight != 0) sum -= weight / all * std::log(weight / all);
  }
  return sum;
}

}  // namespace maskgrad
