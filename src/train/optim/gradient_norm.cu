#include <maskgrad/ops/functors/scalar_words.hpp>
#include <maskgrad/tensor/cuda/warp.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>

namespace maskgrad {
namespace {

// A warp for each chunk: lane i adds every 32nd square from i on, as the CPU does.
constexpr std::int64_t kChunk = 8192, kLanes = 32;
constexpr unsigned kWarps = 4;  // of a block: few chunks shall spread over many multiprocessors

template <class T>
__global__ void sum_squares_kernel(const T* x, double scale, std::int64_t count,
                                   std::int64_t chunks, double* sums) {
  const std::int64_t chunk = std::int64_t{blockIdx.x} * kWarps + threadIdx.y;
  const std::int64_t first = chunk * kChunk + threadIdx.x;
  double sum = 0;
  for (std::int64_t i = first; i < first + kChunk && i < count; i += kLanes) {
    const double value = scale * static_cast<double>(x[i]);
    sum = ops::math::multiply_add(value, value, sum);
  }
  sum = cuda::sum_of_lanes(sum);
  if (chunk < chunks && threadIdx.x == 0) sums[chunk] = sum;
}

const bool kFilled = kSumSquaresCuda.fill([](const Tensor& x, double scale, Tensor& sums) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "gradient_norm", [&]<class T>(T) {
    cuda::launch({"gradient_norm", cuda::blocks_for(sums.numel(), kWarps), dim3(kLanes, kWarps)},
                 sum_squares_kernel<T>, x.device_data<T>(), scale, x.numel(), sums.numel(),
                 sums.device_data<double>());
  });
});

}  // namespace
}  // namespace maskgrad
