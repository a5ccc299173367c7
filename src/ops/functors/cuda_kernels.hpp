// Functors on the elements of CUDA tensors, with broadcasting. For `.cu` files. Internal to
// src/ops.
//
// Results have the bits of a CPU that fuses multiplications: rules are made of operations that IEEE
// 754 rounds, and nvcc is told to fuse none of them by itself (-fmad=false). pow() alone differs,
// by 2 units of float64 and its slope by some more: CUDA's and the C library's are not the same.
// Which bits a NaN has is up to the device.
#pragma once

#include <maskgrad/ops/cuda/map.hpp>
#include <maskgrad/ops/functors/cuda_slots.hpp>
#include <maskgrad/ops/functors/rules.hpp>

namespace maskgrad::ops {

namespace detail {

template <class T>
Operand<T> on_device(const Tensor& x, Device) {
  return {x};
}
template <class T>
Operand<bool> on_device(const Conditions& x, Device device) {
  return {x.tensor.to(device)};
}

template <class F, class... X>
void run_elementwise(const F& f, const X&... x, Tensor& y) {
  dispatch_dtype(FloatingTypes{}, y.dtype(), "elementwise", [&]<class T>(T) {
    map_on_device<T>("elementwise", f, y, on_device<T>(x, y.device())...);
  });
}

}  // namespace detail

/// Fills the slot of a functor of such inputs: for the initialiser of a constant.
template <class F, class... X>
bool fill_elementwise(const char* op) {
  return kElementwiseCuda<F, X...>.fill(detail::run_elementwise<F, X...>, op);
}
template <class F>
bool fill_unary(const char* op) {
  return fill_elementwise<F, Tensor>(op);
}
template <class F>
bool fill_binary(const char* op) {
  return fill_elementwise<F, Tensor, Tensor>(op);
}
template <class F>
bool fill_ternary(const char* op) {
  return fill_elementwise<F, Tensor, Tensor, Tensor>(op);
}
/// Those of a rule and its gradient (rules.hpp).
template <class Rule>
bool fill_rule(const char* op) {
  return fill_unary<Rule>(op) && fill_binary<functors::GradientOf<Rule>>(op);
}

}  // namespace maskgrad::ops
