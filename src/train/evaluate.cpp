#include <cmath>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/evaluate.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "eval";

void check_finite(std::span<const Metric> sums, std::int64_t batch) {
  for (const Metric& sum : sums) {
    if (std::isfinite(sum.sum)) continue;
    const std::string what = sums.size() > 1 ? fmt::format("loss '{}'", sum.name) : "loss";
    const double value = std::isnan(sum.sum) ? std::abs(sum.sum) : sum.sum;  // never "-nan"
    throw Diverged(kName, fmt::format("batch {}: the {} is {}", batch, what, value));
  }
}

// What the model makes of a batch, and the sums of its terms.
struct Evaluated {
  ModelOutput output;
  PoolVector<Metric> sums;
};
Evaluated evaluated(const Model& model, const Batch& batch, std::int64_t number) {
  try {
    Pass pass;
    Evaluated made{model(batch, pass), {}};
    made.sums = loss_sums(made.output, kName);
    check_finite(made.sums, number);
    return made;
  } catch (const NotFiniteError& error) {
    throw Diverged(kName, fmt::format("batch {}: {}", number, text_of(error, kName)));
  }
}

}  // namespace

std::vector<Metric> evaluate(const Model& model, const Dataset& data, std::int64_t batch_size) {
  const NoGrad no_grad;
  DataLoader loader(data, {.batch_size = batch_size});
  std::vector<Metric> totals;  // the terms, then the metrics
  ModelOutput output;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    Evaluated made = evaluated(model, loader.next(), i);
    output = std::move(made.output);
    made.sums.insert(made.sums.end(), output.metrics.begin(), output.metrics.end());
    add_metrics(totals, made.sums, kName);
  }
  const auto terms = totals.begin() + static_cast<std::ptrdiff_t>(output.terms.size());
  output.metrics.assign(terms, totals.end());
  const PoolVector<Metric> all = reported(output, std::span(totals.begin(), terms));
  check(all.front().count > 0, kName, "nothing in the {} counts for the loss",
        count_of(data.size(), "sample"));
  return {all.begin(), all.end()};
}

}  // namespace maskgrad
