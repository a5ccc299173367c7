#include <maskgrad/layers/task_gate/task_gate.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

namespace maskgrad {

TaskGate::TaskGate(std::int64_t features, Experts experts, Mixing mixing,
                   std::unique_ptr<Layer> reader)
    : ExpertMixture("TaskGate", features, std::move(experts), mixing),
      gate_(submodule("gate",
                      std::make_unique<SoftmaxGate>(features, static_cast<std::int64_t>(size())))) {
  if (reader) reader_ = &submodule("reader", std::move(reader));
}

Variable TaskGate::shares(const Variable& x, const Tensor& exists, double temperature, Pass& pass) {
  const Variable read = reader_ ? (*reader_)(x, pass) : x;
  check(read.shape() == x.shape(), "TaskGate", "the reader makes {} of {}", read.shape(),
        x.shape());
  const Variable mean = ops::masked_mean(read, 1);
  return gate_.shares(ops::scale(mean, 1 / temperature), exists);
}

}  // namespace maskgrad
