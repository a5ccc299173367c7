// log() may differ from the C library's in its last place.
#include <cmath>

#include <maskgrad/ops/cuda/softmax_rows.hpp>
#include <maskgrad/ops/functors/loss_rules.hpp>
#include <maskgrad/ops/functors/product.hpp>
#include <maskgrad/ops/nn/loss_kernels.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::ops {
namespace {

// y = softmax(x), and the loss of each row, 0 of one that does not count.
template <class Row, class T>
__global__ void cross_entropy_kernel(std::int64_t rows, std::int64_t n, const T* x,
                                     const std::int64_t* targets, double smoothing, T* y,
                                     double* losses) {
  Row row(rows, n);
  const std::int64_t target = row.exists() ? targets[row.index] : -1;
  if (target < 0) row.length = 0;  // it is not read
  x += row.index * n;
  y += row.index * n;
  const auto [top, sum] = exp_row(row, KeptOfRow{nullptr}, x, y);
  const T of_all = sum;
  row.for_each([=](std::int64_t j) { y[j] = y[j] / of_all; });
  const double of_top = static_cast<double>(top);
  double smoothed = 0;
  if (smoothing != 0) {
    const double share = smoothing / static_cast<double>(n);
    smoothed = row_sum<double>(row, [=](std::int64_t j) {
      return math::product(share, of_top - static_cast<double>(x[j]));
    });
  }
  if (!row.is_first()) return;
  T loss = 0;
  if (target >= 0 && smoothing == 0) {
    loss = std::log(sum) + (top - x[target]);
  } else if (target >= 0) {
    if (smoothing < 1) {  // 0 times an infinite logit is NaN
      const double distance = of_top - static_cast<double>(x[target]);
      smoothed = math::multiply_add(1 - smoothing, distance, smoothed);
    }
    loss = static_cast<T>(static_cast<double>(std::log(sum)) + smoothed);
  }
  losses[row.index] = static_cast<double>(loss);
}

void cross_entropy(const Tensor& logits, std::span<const std::int64_t> targets, double smoothing,
                   Tensor& softmax, Tensor& sum) {
  const std::int64_t rows = std::ssize(targets);
  const cuda::Uploaded ids(targets);
  Tensor losses = Tensor::empty({rows}, DType::kFloat64, logits.device());
  dispatch_dtype(FloatingTypes{}, logits.dtype(), "cross_entropy", [&]<class T>(T) {
    launch_rows("cross_entropy", {rows, logits.dim(-1)}, cross_entropy_kernel<ShortRow, T>,
                cross_entropy_kernel<LongRow, T>, logits.device_data<T>(), ids.data(), smoothing,
                softmax.device_data<T>(), losses.device_data<double>());
  });
  sum_by_samples("cross_entropy", losses, samples_of(logits, 1), sum);
}

// A warp for each row.
constexpr unsigned kLanes = 32, kWarps = cuda::kThreads / kLanes;

template <class T>
__global__ void gradient_kernel(const T* softmax, const std::int64_t* targets, std::int64_t rows,
                                std::int64_t n, ClassShares shares, const T* g, T* dlogits) {
  const std::int64_t row = std::int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (row >= rows) return;
  const std::int64_t target = targets[row];
  const T factor = *g;
  const T of_target = static_cast<T>(shares.target), of_other = static_cast<T>(shares.other);
  for (std::int64_t j = threadIdx.x; j < n; j += kLanes) {
    const T p = softmax[row * n + j];
    T d = 0;  // an infinite factor makes no 0 of 0
    if (target >= 0 && shares.smoothing != 0) {
      d = functors::softmax_gradient(p, j == target ? of_target : of_other, factor);
    } else if (target >= 0) {
      d = j == target ? math::product(p, factor) - factor : p * factor;
    }
    dlogits[row * n + j] = d;
  }
}

void gradient(const Tensor& softmax, std::span<const std::int64_t> targets,
              const ClassShares& shares, const Tensor& g, Tensor& dlogits) {
  const std::int64_t rows = std::ssize(targets);
  const cuda::Uploaded ids(targets);
  dispatch_dtype(FloatingTypes{}, g.dtype(), "cross_entropy", [&]<class T>(T) {
    cuda::launch({"cross_entropy", cuda::blocks_for(rows, kWarps), dim3(kLanes, kWarps)},
                 gradient_kernel<T>, softmax.device_data<T>(), ids.data(), rows, softmax.dim(-1),
                 shares, g.device_data<T>(), dlogits.device_data<T>());
  });
}

// What became of a target. A sequence counts that has hits and no miss.
enum Outcome : std::int32_t { kNone, kHit, kMiss };

// Of equal logits the first is the largest. A row with a NaN has no largest.
template <class T>
__global__ void hits_kernel(const T* logits, const std::int64_t* targets, std::int64_t rows,
                            std::int64_t n, std::int32_t* outcomes) {
  const std::int64_t row = std::int64_t{blockIdx.x} * kWarps + threadIdx.y;
  const std::int64_t target = row < rows ? targets[row] : -1;
  bool is_beaten = false;
  if (target >= 0) {
    const T* const x = logits + row * n;
    const T top = x[target];
    for (std::int64_t j = threadIdx.x; j < n; j += kLanes) {
      is_beaten = is_beaten || !(x[j] <= top) || (x[j] == top && j < target);
    }
  }
  const unsigned votes = __ballot_sync(cuda::kAllLanes, is_beaten);
  if (row < rows && threadIdx.x == 0) {
    outcomes[row] = target < 0 ? kNone : votes == 0 ? kHit : kMiss;
  }
}

// One block.
__global__ void count_kernel(const std::int32_t* outcomes, std::int64_t sequences,
                             std::int64_t length, std::int64_t* count) {
  std::int64_t sum = 0;
  for (std::int64_t first = 0; first < sequences; first += cuda::kThreads) {
    const std::int64_t i = first + threadIdx.x;
    bool counts = false, all = true;
    for (std::int64_t j = i * length; i < sequences && j < (i + 1) * length; ++j) {
      counts = counts || outcomes[j] != kNone;
      all = all && outcomes[j] != kMiss;
    }
    sum += __syncthreads_count(counts && all);
  }
  if (threadIdx.x == 0) *count = sum;
}

void hits(const Tensor& logits, std::span<const std::int64_t> targets, std::int64_t length,
          Tensor& count) {
  const std::int64_t rows = std::ssize(targets);
  const cuda::Uploaded ids(targets);
  Tensor outcomes = Tensor::empty({rows}, DType::kInt32, logits.device());
  auto* const found = outcomes.device_data<std::int32_t>();
  dispatch_dtype(FloatingTypes{}, logits.dtype(), "accuracy", [&]<class T>(T) {
    cuda::launch({"accuracy", cuda::blocks_for(rows, kWarps), dim3(kLanes, kWarps)}, hits_kernel<T>,
                 logits.device_data<T>(), ids.data(), rows, logits.dim(-1), found);
  });
  cuda::launch({"accuracy", 1, cuda::kThreads}, count_kernel, found, length > 0 ? rows / length : 0,
               length, count.device_data<std::int64_t>());
}

const bool kFilled = kCrossEntropyCuda.fill(cross_entropy) &&
                     kCrossEntropyGradientCuda.fill(gradient) && kHitsCuda.fill(hits);

}  // namespace
}  // namespace maskgrad::ops
