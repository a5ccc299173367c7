#include <algorithm>
#include <cmath>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/tensor/readable.hpp>
#include <maskgrad/train/model_output.hpp>

namespace maskgrad {
namespace {

constexpr const char* kTotal = "loss";

double factor_of(const LossTerm& term, const Metric& sum) {
  return term.weight / static_cast<double>(sum.count);
}

// On a device the factor is uploaded: counts change from step to step, what a step launches must
// not.
Variable times(double factor, const Variable& x) {
  if (x.device().type == DeviceType::kCpu) return ops::scale(x, factor);
  return ops::multiply(x, Variable(Tensor::full({}, factor, x.dtype()).to(x.device())));
}

}  // namespace

PoolVector<Metric> loss_counts(const ModelOutput& output, const char* who) {
  check_given(!output.terms.empty(), who, "the loss");
  const bool are_several = output.terms.size() > 1;
  PoolVector<Metric> sums;
  sums.reserve(output.terms.size());
  for (const LossTerm& term : output.terms) {
    check_given(term.sum.defined(), who, "the loss");
    if (!std::isfinite(term.weight)) {
      throw NotFiniteError(
          who, fmt::format("the weight of '{}' is {}", term.name, readable(term.weight)));
    }
    check(!are_several || term.name != kTotal, who,
          "one of several terms must not be called '{}', as their sum is", kTotal);
    sums.push_back({term.name, 0.0, term.count});
  }
  return sums;
}

PoolVector<Metric> loss_sums(const ModelOutput& output, const char* who) {
  PoolVector<Metric> sums = loss_counts(output, who);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i].sum = output.terms[i].sum.item();
  return sums;
}

Metric total_loss(const ModelOutput& output, std::span<const Metric> sums) {
  const PoolVector<LossTerm>& terms = output.terms;
  if (sums.size() == 1) return {kTotal, terms[0].weight * sums[0].sum, sums[0].count};
  Metric total = {kTotal};
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (sums[i].count > 0) total.sum += factor_of(terms[i], sums[i]) * sums[i].sum;
    total.count = std::max(total.count, sums[i].count);
  }
  total.sum *= static_cast<double>(total.count);
  return total;
}

PoolVector<Metric> reported(const ModelOutput& output, std::span<const Metric> sums) {
  PoolVector<Metric> all;
  all.reserve(2 + sums.size() + output.metrics.size());  // a transform may add one
  all.push_back(total_loss(output, sums));
  if (sums.size() > 1) all.insert(all.end(), sums.begin(), sums.end());
  for (const BatchMetric& metric : output.metrics) all.push_back(metric.read());
  return all;
}

Objective objective_of(const ModelOutput& output, std::span<const Metric> sums) {
  Objective objective;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (sums[i].count == 0) continue;
    const LossTerm& term = output.terms[i];
    const double factor = factor_of(term, sums[i]);
    if (sums.size() == 1) return {term.sum, factor};
    const Variable part = times(factor, term.sum);
    objective.root = objective.root.defined() ? ops::add(objective.root, part) : part;
  }
  return objective;
}

}  // namespace maskgrad
