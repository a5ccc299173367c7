#include <cmath>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/evaluate.hpp>

namespace maskgrad {

std::vector<Metric> evaluate(const Model& model, const SequenceDataset& data,
                             std::int64_t batch_size) {
  const NoGrad no_grad;
  DataLoader loader(data, {.batch_size = batch_size});
  std::vector<Metric> totals;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    Pass pass;
    ModelOutput output = model(loader.next(), pass);
    const Metric loss = {"loss", output.loss.sum.item(), output.loss.count};
    check(std::isfinite(loss.sum), "eval", "batch {}: the loss is {}", i,
          std::isnan(loss.sum) ? std::abs(loss.sum) : loss.sum);
    output.metrics.insert(output.metrics.begin(), loss);
    add_metrics(totals, output.metrics, "eval");
  }
  return totals;
}

}  // namespace maskgrad
