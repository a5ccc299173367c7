#include <maskgrad/ops/functors/scalar_words.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/train/optim/late_update_kernels.hpp>
#include <maskgrad/train/optim/weight_average.hpp>

namespace maskgrad {
namespace {

template <class T>
__global__ void average_kernel(const T* w, const T* share, cuda::FiniteWords finite, T* average,
                               std::int64_t count) {
  const std::int64_t i = cuda::thread_number();
  if (i < count && finite.may_update() && finite.was_result_finite())
    average[i] = ops::math::multiply_add(*share, w[i] - average[i], average[i]);
}

const bool kFilled =
    kAverageCuda.fill([](const Tensor& w, double share, LateUpdate& late, Tensor& average) {
      dispatch_dtype(FloatingTypes{}, w.dtype(), "ema", [&]<class T>(T) {
        const cuda::Uploaded uploaded(static_cast<T>(share));
        cuda::launch({"ema", cuda::blocks_for(w.numel()), cuda::kThreads}, average_kernel<T>,
                     w.device_data<T>(), uploaded.data(), cuda::FiniteWords(late.finite),
                     average.device_data<T>(), w.numel());
      });
    });

}  // namespace
}  // namespace maskgrad
