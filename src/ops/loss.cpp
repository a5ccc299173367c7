#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/ops/loss.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/reduce.hpp>
#include <maskgrad/ops/row_kernels.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kCrossEntropy = register_op({
    .name = "cross_entropy",
    .summary = "sum of -log softmax(logits)[target], and how many targets",
    .inputs = {{.name = "logits", .reach = Reach::kByCall}, integer_input("targets")},
    .outputs = {"sum", "count"},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      SumCount loss = cross_entropy(call.input("logits"), call.input("targets").value());
      return {loss.sum, Variable(Tensor::from<std::int64_t>({loss.count}, {}))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {
          {{{"logits", sample_uniform(r, {4, 20})}, {"targets", sample_indices(r, {4}, 20)}}},
          {{{"logits", sample_uniform(r, {2, 3, 5})}, {"targets", sample_indices(r, {2, 3}, 5)}}},
          {{{"logits", sample_uniform(r, {0, 5})}, {"targets", sample_indices(r, {0}, 5)}}}};
    },
});

// Calls f(row, target) for each position that counts, and returns how many do.
template <class F>
std::int64_t for_each_target(const char* name, const Shape& logits, const Tensor& targets,
                             const SequenceMask& mask, F f) {
  const std::int64_t classes = logits.dim(-1);
  const bool* keep = mask.defined() ? mask.bits().data<bool>() : nullptr;
  std::int64_t count = 0;
  dispatch_dtype(IntegerTypes{}, targets.dtype(), name, [&]<class T>(T) {
    const T* ids = targets.data<T>();
    for (std::int64_t i = 0; i < targets.numel(); ++i) {
      if (keep && !keep[i]) continue;
      check(ids[i] >= 0 && ids[i] < classes, name,
            "target {} at element {} is outside the {} classes", ids[i], i, classes);
      f(i, static_cast<std::int64_t>(ids[i]));
      ++count;
    }
  });
  return count;
}

void check_shapes(const char* name, const Variable& logits, const Tensor& targets) {
  check(logits.rank() >= 1 && targets.shape() == logits.shape().slice(0, logits.rank() - 1), name,
        "logits {} need targets of their shape without the last dimension, got {}", logits.shape(),
        targets.shape());
  check(!logits.mask().defined() || logits.mask().shape() == targets.shape(), name,
        "a mask of {} does not say which of the targets {} count", logits.mask().shape(),
        targets.shape());
}

}  // namespace

Variable SumCount::mean() const {
  return scale(sum, count ? 1.0 / static_cast<double>(count) : 0.0);
}

// dlogits = g (softmax(logits) - onehot(target))
SumCount cross_entropy(const Variable& logits, const Tensor& targets) {
  check_shapes("cross_entropy", logits, targets);
  const SequenceMask mask = logits.mask();
  const std::int64_t classes = logits.dim(-1);
  Tensor total = Tensor::zeros({}, logits.dtype(), logits.device());
  Tensor softmax = Tensor::zeros(logits.shape(), logits.dtype(), logits.device());
  std::int64_t count = 0;
  dispatch_device(logits.device(), "cross_entropy", [&] {
    dispatch_dtype(FloatingTypes{}, logits.dtype(), "cross_entropy", [&]<class T>(T) {
      T sum{};
      count = for_each_target("cross_entropy", logits.shape(), targets, mask,
                              [&](std::int64_t row, std::int64_t target) {
                                const T* x = logits.value().data<T>() + row * classes;
                                T* y = softmax.data<T>() + row * classes;
                                const T top = row_max(x, classes);
                                row_exp(x, top, y, classes);
                                const T exp_sum = row_sum(y, classes);
                                for (std::int64_t j = 0; j < classes; ++j) y[j] /= exp_sum;
                                // In this order, or a large top swallows the logarithm.
                                sum += std::log(exp_sum) + (top - x[target]);
                              });
      *total.data<T>() = sum;
    });
  });
  Variable sum =
      record(kCrossEntropy, {&logits}, std::move(total),
             with_reach(
                 [=](const Tensor& g, Gradients& grads) {
                   dispatch_dtype(FloatingTypes{}, g.dtype(), "cross_entropy", [&]<class T>(T) {
                     const T factor = *g.data<T>();
                     Tensor dlogits = grads.buffer(0);
                     const auto times = [factor](const auto& p) { return factor * p; };
                     map_row(times, softmax.numel(), dlogits.data<T>(), softmax.data<T>());
                     for_each_target("cross_entropy", softmax.shape(), targets, mask,
                                     [&](std::int64_t row, std::int64_t target) {
                                       dlogits.data<T>()[row * classes + target] -= factor;
                                     });
                   });
                 },
                 [mask](std::size_t, const Tensor& marked) {
                   return spread(Reach::kEverything, without_holes(marked, mask), {});
                 }));
  return {std::move(sum), count};
}

HitsCount accuracy(const Variable& logits, const Tensor& targets) {
  check_shapes("accuracy", logits, targets);
  const std::int64_t classes = logits.dim(-1);
  HitsCount result;
  dispatch_dtype(FloatingTypes{}, logits.dtype(), "accuracy", [&]<class T>(T) {
    const T* x = logits.value().data<T>();
    result.count = for_each_target("accuracy", logits.shape(), targets, logits.mask(),
                                   [&](std::int64_t row, std::int64_t target) {
                                     const T* first = x + row * classes;
                                     result.hits += argmax_row(first, classes, 1) == target;
                                   });
  });
  return result;
}

}  // namespace maskgrad::ops
