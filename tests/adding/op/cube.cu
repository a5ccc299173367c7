#include <maskgrad/ops/math/cube.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {
namespace {

template <class T>
__global__ void cube_kernel(const T* x, T* y, std::int64_t count) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) y[i] = x[i] * x[i] * x[i];
}

template <class T>
__global__ void gradient_kernel(const T* x, const T* g, T* dx, std::int64_t count) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) dx[i] = 3 * x[i] * x[i] * g[i];
}

cuda::Launch each_element(const Tensor& x) {
  return {"cube", cuda::blocks_for(x.numel()), cuda::kThreads};
}

void cube_on_device(const Tensor& x, Tensor& y) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "cube", [&]<class T>(T) {
    cuda::launch(each_element(x), cube_kernel<T>, x.device_data<T>(), y.device_data<T>(),
                 x.numel());
  });
}

void gradient_on_device(const Tensor& x, const Tensor& g, Tensor& dx) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "cube", [&]<class T>(T) {
    cuda::launch(each_element(x), gradient_kernel<T>, x.device_data<T>(), g.device_data<T>(),
                 dx.device_data<T>(), x.numel());
  });
}

const bool kFilled = kCubeCuda.fill(cube_on_device) && kCubeGradientCuda.fill(gradient_on_device);

}  // namespace
}  // namespace maskgrad::ops
