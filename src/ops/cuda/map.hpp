// Functions of elements on CUDA tensors, with broadcasting. For `.cu` files.
#pragma once

#include <cstdint>
#include <utility>

#include <maskgrad/ops/cuda/walk.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

namespace detail {

template <class T, class F, class... Ts>
__global__ void map_kernel(std::int64_t count, F f, T* y, const Ts*... x) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) y[i] = f(x[i]...);
}

template <class T, class F, class... Ts>
__global__ void zip_kernel(std::int64_t count, F f, Walk<sizeof...(Ts)> walk, T* y,
                           const Ts*... x) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  std::int64_t at[sizeof...(Ts)];
  walk.find(i, at);
  int k = 0;
  ((x += at[k++]), ...);
  y[i] = f(*x...);
}

}  // namespace detail

/// A tensor of elements T on a device.
template <class T>
struct Operand {
  Tensor tensor;
  const T* elements() const { return std::as_const(tensor).template device_data<T>(); }
};

/// y = f(x...) element by element, where x broadcast to y's shape; a thread for each element of y.
/// `name` is for messages.
template <class T, class F, class... Ts>
void map_on_device(const char* name, const F& f, Tensor& y, const Operand<Ts>&... x) {
  const cuda::Launch how = {name, cuda::blocks_for(y.numel()), cuda::kThreads};
  if (((x.tensor.shape() == y.shape()) && ...)) {
    cuda::launch(how, detail::map_kernel<T, F, Ts...>, y.numel(), f, y.device_data<T>(),
                 x.elements()...);
  } else {
    const Shape* const shapes[] = {&x.tensor.shape()...};
    cuda::launch(how, detail::zip_kernel<T, F, Ts...>, y.numel(), f,
                 detail::walk_of(y.shape(), shapes), y.device_data<T>(), x.elements()...);
  }
}

}  // namespace maskgrad::ops
