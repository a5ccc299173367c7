// What a model makes of a batch: the loss to lower, and metrics to watch.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>

#include <maskgrad/layers/pass.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

/// A term of the loss: the sum of the losses of `count` things, such as tokens. `sum` is a scalar
/// that gradients flow from. A term that is no mean, such as a penalty on weights, has count 1.
struct LossTerm {
  std::string name;
  Variable sum;
  std::int64_t count = 0;
  double weight = 1.0;
};

/// A metric of one batch. `sum` is a scalar of any dtype, where the model has computed it.
struct BatchMetric {
  std::string name;
  Tensor sum;
  std::int64_t count = 0;

  BatchMetric(std::string name_, Tensor sum_, std::int64_t count_)
      : name(std::move(name_)), sum(std::move(sum_)), count(count_) {}
  BatchMetric(std::string name_, double sum_, std::int64_t count_)
      : BatchMetric(std::move(name_), Tensor::full({}, sum_, DType::kFloat64), count_) {}
  BatchMetric(Metric metric) : BatchMetric(std::move(metric.name), metric.sum, metric.count) {}

  /// As numbers of the host, which waits for a device.
  Metric read() const { return {name, sum.item(), count}; }
};

/// Hits as a metric: their share is its mean.
inline BatchMetric to_metric(std::string name, ops::HitsCount hits) {
  return {std::move(name), std::move(hits.hits), hits.count};
}

/// The terms of a loss, and metrics. loss = sum over the terms of weight * sum / count. A term
/// whose count is 0 adds nothing.
struct ModelOutput {
  ModelOutput() = default;
  /// One term, which is reported as "loss".
  ModelOutput(ops::SumCount loss, PoolVector<BatchMetric> m = {})
      : terms{{"loss", std::move(loss.sum), loss.count}}, metrics(std::move(m)) {}
  /// Several terms. The whole is reported as "loss", and then each term by its name.
  ModelOutput(PoolVector<LossTerm> t, PoolVector<BatchMetric> m = {})
      : terms(std::move(t)), metrics(std::move(m)) {}

  PoolVector<LossTerm> terms;
  PoolVector<BatchMetric> metrics;
};
using Model = std::function<ModelOutput(const Batch&, Pass&)>;

/// The terms as numbers: name, sum and count of each. The host waits for a device. Throws Error
/// "[<who>] ..." when there is no term, when a term has no value, and when one of several terms is
/// called "loss". Throws NotFiniteError when a weight is not finite.
PoolVector<Metric> loss_sums(const ModelOutput& output, const char* who);
/// The same without the sums, which are 0: the host waits for nothing.
PoolVector<Metric> loss_counts(const ModelOutput& output, const char* who);

/// The whole loss, as a sum and a count. `sums` are those of loss_sums(), of one batch or added
/// over several. The count is the largest one of the terms, 0 where nothing was counted. With
/// several terms the sum is the loss times this count, so batches are averaged by it.
Metric total_loss(const ModelOutput& output, std::span<const Metric> sums);

/// "loss", then the terms where there are several, then the metrics.
PoolVector<Metric> reported(const ModelOutput& output, std::span<const Metric> sums);

/// Where to start the backward pass, and with which gradient, to get the gradients of the loss. The
/// terms are divided by the counts of `sums`. So the terms may be those of a part of a batch, and
/// `sums` those of the whole. `root` is undefined where nothing was counted.
struct Objective {
  Variable root;
  double seed = 1.0;
};
Objective objective_of(const ModelOutput& output, std::span<const Metric> sums);

}  // namespace maskgrad
