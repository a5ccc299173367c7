// Functors on the elements of CUDA tensors, with broadcasting. For `.cu` files. Internal to src/ops.
//
// Results have the bits of a CPU that fuses multiplications: rules are made of operations that IEEE
// 754 rounds, and nvcc is told to fuse none of them by itself (-fmad=false). pow() alone differs,
// by 2 units of float64 and its slope by some more: CUDA's and the C library's are not the same.
// Which bits a NaN has is up to the device.
#pragma once

#include <algorithm>

#include <maskgrad/ops/functors/cuda_slots.hpp>
#include <maskgrad/ops/functors/rules.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {

namespace detail {

// Where the elements of inputs stand for one of the output. Axes of the output, the innermost
// first; neighbours are one where all inputs step over them alike.
template <int inputs>
struct Walk {
  int rank = 0;
  std::int64_t sizes[Shape::kMaxRank] = {};
  std::int64_t steps[inputs][Shape::kMaxRank] = {};  // elements; 0 where the input is repeated
};

template <int inputs>
Walk<inputs> walk_of(const Shape& output, const Shape* const (&shapes)[inputs]) {
  Walk<inputs> walk;
  std::int64_t strides[inputs];
  std::fill_n(strides, inputs, 1);
  for (int from_end = 1; from_end <= output.rank(); ++from_end) {
    const std::int64_t size = output[output.rank() - from_end];
    const int here = walk.rank, last = here - 1;
    bool merges = here > 0;
    for (int i = 0; i < inputs; ++i) {
      const Shape& shape = *shapes[i];
      const std::int64_t own = from_end <= shape.rank() ? shape[shape.rank() - from_end] : 1;
      walk.steps[i][here] = own == size ? strides[i] : 0;
      strides[i] *= own;
      if (merges) merges = walk.steps[i][here] == walk.steps[i][last] * walk.sizes[last];
    }
    if (merges) {
      walk.sizes[last] *= size;
    } else if (size != 1) {
      walk.sizes[walk.rank++] = size;
    }
  }
  return walk;
}

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
  std::int64_t at[sizeof...(Ts)] = {}, rest = i;
  for (int axis = 0; axis < walk.rank; ++axis) {
    const std::int64_t index = rest % walk.sizes[axis];
    rest /= walk.sizes[axis];
    for (std::size_t k = 0; k < sizeof...(Ts); ++k) at[k] += index * walk.steps[k][axis];
  }
  int k = 0;
  ((x += at[k++]), ...);
  y[i] = f(*x...);
}

template <class F, class... X>
void run_elementwise(const F& f, const X&... x, Tensor& y) {
  const cuda::Launch how = {"elementwise", cuda::blocks_for(y.numel()), cuda::kThreads};
  dispatch_dtype(FloatingTypes{}, y.dtype(), "elementwise", [&]<class T>(T) {
    if (((x.shape() == y.shape()) && ...)) {
      cuda::launch(how, map_kernel<T, F, decltype(x, T())...>, y.numel(), f, y.device_data<T>(),
                   x.template device_data<T>()...);
    } else {
      constexpr int kInputs = sizeof...(X);
      const Shape* const shapes[kInputs] = {&x.shape()...};
      cuda::launch(how, zip_kernel<T, F, decltype(x, T())...>, y.numel(), f,
                   walk_of<kInputs>(y.shape(), shapes), y.device_data<T>(),
                   x.template device_data<T>()...);
    }
  });
}

}  // namespace detail

/// Fills the slot of a functor of so many inputs: for the initialiser of a constant.
template <class F>
bool fill_unary(const char* op) {
  return kElementwiseCuda<F, Tensor>.fill(detail::run_elementwise<F, Tensor>, op);
}
template <class F>
bool fill_binary(const char* op) {
  return kElementwiseCuda<F, Tensor, Tensor>.fill(detail::run_elementwise<F, Tensor, Tensor>, op);
}
template <class F>
bool fill_ternary(const char* op) {
  return kElementwiseCuda<F, Tensor, Tensor, Tensor>.fill(
      detail::run_elementwise<F, Tensor, Tensor, Tensor>, op);
}
/// Those of a rule and its gradient (rules.hpp).
template <class Rule>
bool fill_rule(const char* op) {
  return fill_unary<Rule>(op) && fill_binary<functors::GradientOf<Rule>>(op);
}

}  // namespace maskgrad::ops
