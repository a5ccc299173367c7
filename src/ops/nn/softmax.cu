// log() alone may have other bits than the C library's, in its last place.
#include <maskgrad/ops/cuda/softmax_rows.hpp>
#include <maskgrad/ops/nn/softmax_kernels.hpp>

namespace maskgrad::ops {
namespace {

template <class Row, class F>
__global__ void rows_kernel(std::int64_t rows, std::int64_t n, F f) {
  const Row row(rows, n);
  f(row, KeptOfRow{nullptr}, row.index * n);
}

template <class F>
void launch_on_rows(const char* name, const Tensor& x, F f) {
  launch_rows(name, x.shape(), rows_kernel<ShortRow, F>, rows_kernel<LongRow, F>, f);
}

template <template <class> class F>
bool fill_forward(SoftmaxKernels<>& kernels) {
  return kernels.forward.fill([](const Tensor& x, Tensor& y) {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "softmax", [&]<class T>(T) {
      launch_on_rows("softmax", x, F<T>{x.device_data<T>(), y.device_data<T>()});
    });
  });
}
template <template <class> class F>
bool fill_gradient(SoftmaxKernels<>& kernels) {
  return kernels.gradient.fill([](const Tensor& y, const Tensor& g, Tensor& dx) {
    dispatch_dtype(FloatingTypes{}, g.dtype(), "softmax", [&]<class T>(T) {
      launch_on_rows("softmax", g,
                     F<T>{y.device_data<T>(), g.device_data<T>(), dx.device_data<T>()});
    });
  });
}

const bool kFilled = fill_forward<SoftmaxOfRow>(kSoftmaxCuda) &&
                     fill_gradient<SoftmaxGradientOfRow>(kSoftmaxCuda) &&
                     fill_forward<LogSoftmaxOfRow>(kLogSoftmaxCuda) &&
                     fill_gradient<LogSoftmaxGradientOfRow>(kLogSoftmaxCuda);

}  // namespace
}  // namespace maskgrad::ops
