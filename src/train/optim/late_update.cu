#include <algorithm>

#include <maskgrad/tensor/cuda/scalars.hpp>
#include <maskgrad/train/optim/late_update_kernels.hpp>

namespace maskgrad {
namespace {

// Every block looks at a part of the gradients. The first one looks at the losses, too.
template <class T>
__global__ void find_not_finite_kernel(cuda::Scalars losses, const T* gradients, std::int64_t count,
                                       cuda::FiniteWords finite) {
  bool all = true;
  for (std::int64_t i = cuda::thread_number(); i < count; i += cuda::thread_count()) {
    all = all && gradients[i] - gradients[i] == T{0};
  }
  if (blockIdx.x == 0) {
    if (threadIdx.x < losses.count) {
      const double loss = losses[threadIdx.x];
      all = all && loss - loss == 0;
    }
    all = all && finite.was_result_finite();  // of the step before
  }
  finite.find_input(all);
}

void find_not_finite(std::span<const Tensor> losses, const Tensor& gradients, Tensor& finite) {
  dispatch_dtype(FloatingTypes{}, gradients.dtype(), "find_not_finite", [&]<class T>(T) {
    const T* g = gradients.device_data<T>();
    std::int64_t count = gradients.numel();
    cuda::for_each_chunk(losses, [&](const cuda::Scalars& some) {
      cuda::launch({"find_not_finite", std::max(1u, cuda::blocks_of_stride(count)), cuda::kThreads},
                   find_not_finite_kernel<T>, some, g, count, cuda::FiniteWords(finite));
      count = 0;  // once
    });
  });
}

const bool kFilled = kFindNotFiniteCuda.fill(find_not_finite);

}  // namespace
}  // namespace maskgrad
