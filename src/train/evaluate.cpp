#include <cmath>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/evaluate.hpp>

namespace maskgrad {

std::vector<Metric> evaluate(const Model& model, const Dataset& data, std::int64_t batch_size) {
  const NoGrad no_grad;
  DataLoader loader(data, {.batch_size = batch_size});
  std::vector<Metric> totals;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    Pass pass;
    const ModelOutput output = model(loader.next(), pass);
    const PoolVector<Metric> metrics = reported(output, loss_sums(output, "eval"));
    const double loss = metrics.front().sum;
    check(std::isfinite(loss), "eval", "batch {}: the loss is {}", i,
          std::isnan(loss) ? std::abs(loss) : loss);
    add_metrics(totals, metrics, "eval");
  }
  return totals;
}

}  // namespace maskgrad
