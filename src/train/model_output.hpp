// What a model makes of a batch: losses to be lowered, and metrics to be watched.
#pragma once

#include <functional>
#include <span>
#include <string>

#include <maskgrad/layers/pass.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

/// A part of the loss over `count` things: `sum` is a scalar that can be differentiated. A term
/// that is no mean, a penalty on weights for one, has count 1.
struct LossTerm {
  std::string name;
  Variable sum;
  std::int64_t count = 0;
  double weight = 1.0;
};

/// The loss is the sum over terms of weight * sum / count; a term that counts nothing adds nothing.
struct ModelOutput {
  ModelOutput() = default;
  /// One term, which is reported as "loss".
  ModelOutput(ops::SumCount loss, PoolVector<Metric> m = {})
      : terms{{"loss", std::move(loss.sum), loss.count}}, metrics(std::move(m)) {}
  /// Several terms: each is reported by its name behind the whole, which is "loss".
  ModelOutput(PoolVector<LossTerm> t, PoolVector<Metric> m = {})
      : terms(std::move(t)), metrics(std::move(m)) {}

  PoolVector<LossTerm> terms;
  PoolVector<Metric> metrics;
};
using Model = std::function<ModelOutput(const Batch&, Pass&)>;

/// The terms as numbers: name, sum and count of each. Throws Error "[who] ..." for no terms, a term
/// without a value, a weight that is not finite, and where one of several terms is called "loss".
PoolVector<Metric> loss_sums(const ModelOutput& output, const char* who);

/// The whole loss, for sums as loss_sums() gives them, or of several batches. Among other batches
/// it weighs as its largest count does, which is 0 where nothing was counted.
Metric total_loss(const ModelOutput& output, std::span<const Metric> sums);

/// "loss", then the terms where there are several, then the metrics.
PoolVector<Metric> reported(const ModelOutput& output, std::span<const Metric> sums);

/// What to run backward, and the seed for it, so that gradients of the loss arrive. The counts are
/// those of `sums`: the terms may be a part of a batch. Undefined where nothing was counted.
struct Objective {
  Variable root;
  double seed = 1.0;
};
Objective objective_of(const ModelOutput& output, std::span<const Metric> sums);

}  // namespace maskgrad
