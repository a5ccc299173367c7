// log() may differ from the C library's in its last place.
#include <maskgrad/ops/cuda/softmax_rows.hpp>
#include <maskgrad/ops/nn/softmax_kernels.hpp>

namespace maskgrad::ops {
namespace {

template <class Row, class F, class T>
__global__ void rows_kernel(std::int64_t rows, std::int64_t n, const T* __restrict__ x,
                            T* __restrict__ y) {
  const Row row(rows, n);
  F{x, y}(row, KeptOfRow{nullptr}, row.index * n);
}

template <class Row, class F, class T>
__global__ void gradient_kernel(std::int64_t rows, std::int64_t n, const T* __restrict__ y,
                                const T* __restrict__ g, T* __restrict__ dx) {
  const Row row(rows, n);
  F{y, g, dx}(row, KeptOfRow{nullptr}, row.index * n);
}

template <template <class> class F>
bool fill_forward(SoftmaxKernels<>& kernels) {
  return kernels.forward.fill([](const Tensor& x, Tensor& y) {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "softmax", [&]<class T>(T) {
      launch_rows("softmax", x.shape(), rows_kernel<ShortRow, F<T>, T>,
                  rows_kernel<LongRow, F<T>, T>, x.device_data<T>(), y.device_data<T>());
    });
  });
}
template <template <class> class F>
bool fill_gradient(SoftmaxKernels<>& kernels) {
  return kernels.gradient.fill([](const Tensor& y, const Tensor& g, Tensor& dx) {
    dispatch_dtype(FloatingTypes{}, g.dtype(), "softmax", [&]<class T>(T) {
      launch_rows("softmax", g.shape(), gradient_kernel<ShortRow, F<T>, T>,
                  gradient_kernel<LongRow, F<T>, T>, y.device_data<T>(), g.device_data<T>(),
                  dx.device_data<T>());
    });
  });
}

const bool kFilled = fill_forward<SoftmaxOfRow>(kSoftmaxCuda) &&
                     fill_gradient<SoftmaxGradientOfRow>(kSoftmaxCuda) &&
                     fill_forward<LogSoftmaxOfRow>(kLogSoftmaxCuda) &&
                     fill_gradient<LogSoftmaxGradientOfRow>(kLogSoftmaxCuda);

}  // namespace
}  // namespace maskgrad::ops
