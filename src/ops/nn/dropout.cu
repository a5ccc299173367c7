#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/philox.hpp>

namespace maskgrad::ops {
namespace {

using Number = std::uint64_t;

// Which number an element takes: its own, or one that its position says.
struct NumberOf {
  const std::int64_t* places;
  std::int64_t features;

  __device__ Number operator()(std::int64_t i) const {
    return static_cast<Number>(places ? places[i / features] * features + i % features : i);
  }
};

// A thread for two neighbours: their numbers are drawn at once in most cases.
constexpr std::int64_t kOfThread = 2;

template <class T>
__global__ void dropout_kernel(const T* x, double p, functors::KeepScaled rule,
                               const std::int64_t* state, NumberOf number_of, std::int64_t count,
                               T* y) {
  const std::int64_t first = kOfThread * cuda::thread_number();
  if (first >= count) return;
  const philox::UniformNumbers numbers(std::span<const std::int64_t, 5>(state, 5));
  Number drawn = number_of(first);
  philox::UniformNumbers::Pair pair = numbers.pair_of(drawn);
  for (std::int64_t i = first; i < first + kOfThread && i < count; ++i) {
    const Number n = number_of(i);
    if (n / 2 != drawn / 2) pair = numbers.pair_of(drawn = n);
    y[i] = rule(x[i], (n % 2 == 0 ? pair.first : pair.second) >= p);
  }
}

void dropout_on_device(const Tensor& x, double p, const Tensor& state, const Tensor* places,
                       Tensor& y) {
  if (x.numel() == 0) return;
  NumberOf number_of{nullptr, 1};
  if (places) number_of = {places->device_data<std::int64_t>(), x.numel() / places->numel()};
  const functors::KeepScaled rule{functors::Factor(1 / (1 - p))};
  const std::int64_t threads = (x.numel() + kOfThread - 1) / kOfThread;
  dispatch_dtype(FloatingTypes{}, x.dtype(), "dropout", [&]<class T>(T) {
    cuda::launch({"dropout", cuda::blocks_for(threads), cuda::kThreads}, dropout_kernel<T>,
                 x.device_data<T>(), p, rule, state.device_data<std::int64_t>(), number_of,
                 x.numel(), y.device_data<T>());
  });
}

const bool kFilled = kDropoutCuda.fill(dropout_on_device);

}  // namespace
}  // namespace maskgrad::ops
