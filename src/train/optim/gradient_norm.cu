#include <maskgrad/ops/functors/scalar_words.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/tensor/cuda/warp.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>
#include <maskgrad/train/optim/late_update_kernels.hpp>

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

void sum_squares(const Tensor& x, double scale, Tensor& sums) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "gradient_norm", [&]<class T>(T) {
    cuda::launch({"gradient_norm", cuda::blocks_for(sums.numel(), kWarps), dim3(kLanes, kWarps)},
                 sum_squares_kernel<T>, x.device_data<T>(), scale, x.numel(), sums.numel(),
                 sums.device_data<double>());
  });
}

// One block. Squares of floats neither overflow nor vanish in double.
__global__ void clip_kernel(double* sums, std::int64_t chunks, const double* gradient_scale,
                            double most, cuda::FiniteWords finite, double* late_scale,
                            double* norm) {
  for (std::int64_t n = chunks; n > 1;) {
    const std::int64_t half = (n + 1) / 2;
    for (std::int64_t i = half + threadIdx.x; i < n; i += blockDim.x) sums[i - half] += sums[i];
    __syncthreads();
    n = half;
  }
  const double length = *gradient_scale * (chunks > 0 ? ops::math::sqrt(sums[0]) : 0.0);
  const double factor = clip_factor(length, most);
  finite.find_input(length - length == 0 && factor > 0);
  if (threadIdx.x > 0) return;
  *norm = length;
  *late_scale = *gradient_scale * factor;
}

void clip(double gradient_scale, double most, Tensor& sums, LateUpdate& late, Tensor& norm) {
  const cuda::Uploaded scale(gradient_scale);
  late.scale = Tensor::empty({}, DType::kFloat64, sums.device());
  cuda::launch({"clip_norm", 1, cuda::kThreads}, clip_kernel, sums.device_data<double>(),
               sums.numel(), scale.data(), most, cuda::FiniteWords(late.finite),
               late.scale.device_data<double>(), norm.device_data<double>());
}

const bool kFilled = kSumSquaresCuda.fill(sum_squares) && kClipCuda.fill(clip);

}  // namespace
}  // namespace maskgrad
