#include <cmath>

#include <maskgrad/tensor/autograd/observer.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/tensor/readable.hpp>
#include <maskgrad/train/evaluate.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "eval";

void check_finite(std::span<const Metric> sums, std::int64_t batch) {
  for (const Metric& sum : sums) {
    if (std::isfinite(sum.sum)) continue;
    const std::string what = sums.size() > 1 ? fmt::format("loss '{}'", sum.name) : "loss";
    throw Diverged(kName, fmt::format("batch {}: the {} is {}", batch, what, readable(sum.sum)));
  }
}

// What the model makes of a batch, and the sums of its terms.
struct Evaluated {
  ModelOutput output;
  PoolVector<Metric> sums;
};
Evaluated evaluated_once(const Model& model, const Batch& batch, std::int64_t number) {
  const NoGrad no_grad;
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

// The first operation that gives such a number, as a second pass finds it; empty where none does.
std::string first_not_finite(const Model& model, const Batch& batch) {
  try {
    FiniteCheck check_finite;
    Tape tape({.observer = &check_finite});
    Pass pass;
    model(batch, pass);
  } catch (const NotFiniteError&) {
    return "";  // what is explained here
  } catch (const Error& error) {
    return fmt::format("; first of all, {} {}", error.name(), error.text());
  }
  return "";
}

Evaluated evaluated(const Model& model, const Batch& batch, std::int64_t number) {
  try {
    return evaluated_once(model, batch, number);
  } catch (const Diverged& error) {
    throw Diverged(kName, std::string(error.text()) + first_not_finite(model, batch));
  }
}

}  // namespace

std::vector<Metric> evaluate(const Model& model, const Dataset& data, std::int64_t batch_size) {
  DataLoader loader(data, {.batch_size = batch_size});
  std::vector<Metric> totals;  // the terms, then the metrics
  ModelOutput output;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    Evaluated made = evaluated(model, loader.next(), i);
    output = std::move(made.output);
    for (const BatchMetric& metric : output.metrics) made.sums.push_back(metric.read());
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
