#include <maskgrad/ops/cuda/kept_positions.hpp>
#include <maskgrad/ops/functors/cuda_kernels.hpp>
#include <maskgrad/ops/functors/loss_rules.hpp>
#include <maskgrad/ops/nn/loss_kernels.hpp>
#include <maskgrad/tensor/cuda/block_flags.hpp>

namespace maskgrad::ops {
namespace {

using namespace functors;

template <class Rule, class T>
__global__ void terms_kernel(Rule rule, const T* x, const T* target, KeptPositions kept,
                             std::int64_t count, double* terms) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  terms[i] = kept[i] ? rule(static_cast<double>(x[i]), static_cast<double>(target[i])) : 0.0;
}

template <class Rule>
void loss_sum(const Tensor& x, const Tensor& target, const SequenceMask& mask, Tensor& sum) {
  Tensor terms = Tensor::empty(x.shape(), DType::kFloat64, x.device());
  dispatch_dtype(FloatingTypes{}, x.dtype(), "loss", [&]<class T>(T) {
    cuda::launch({"loss", cuda::blocks_for(x.numel()), cuda::kThreads}, terms_kernel<Rule, T>,
                 Rule(), x.device_data<T>(), target.device_data<T>(),
                 KeptPositions::of_elements(mask, x), x.numel(), terms.device_data<double>());
  });
  sum_by_samples("loss", terms, samples_of(x), sum);
}

template <class T>
__global__ void targets_fit_kernel(const T* targets, KeptPositions kept, std::int64_t count,
                                   bool* fit) {
  bool all = true;
  for (std::int64_t i = cuda::thread_number(); i < count; i += cuda::thread_count()) {
    if (kept[i]) all = all && targets[i] >= 0 && targets[i] <= 1;
  }
  cuda::write_flag(all, fit);
}

void targets_fit(const Tensor& targets, const SequenceMask& mask, bool& fit) {
  const unsigned blocks = cuda::blocks_of_stride(targets.numel());
  cuda::BlockFlags flags(blocks, targets.device());
  dispatch_dtype(FloatingTypes{}, targets.dtype(), "bce_with_logits", [&]<class T>(T) {
    cuda::launch({"bce_with_logits", blocks, cuda::kThreads}, targets_fit_kernel<T>,
                 targets.device_data<T>(), KeptPositions::of_elements(mask, targets),
                 targets.numel(), flags.data());
  });
  fit = flags.all();
}

const bool kFilled =
    kLossSumCuda<SquaredError>.fill(loss_sum<SquaredError>, "mse") &&
    kLossSumCuda<BinaryCrossEntropy>.fill(loss_sum<BinaryCrossEntropy>, "bce_with_logits") &&
    fill_ternary<LossGradientOf<SquaredError>>("mse") &&
    fill_ternary<LossGradientOf<BinaryCrossEntropy>>("bce_with_logits") &&
    kTargetsFitCuda.fill(targets_fit);

}  // namespace
}  // namespace maskgrad::ops
