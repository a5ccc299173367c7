// Elementwise work as xtensor expressions over tensors' memory. Internal to src/ops: public headers
// never include it, because xtensor costs every including file seconds of compile time.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <tuple>

#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnoalias.hpp>

#include <maskgrad/ops/math/broadcast_plan.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// A matrix over a tensor's memory. Its shape is a std::array: the adaptor then costs about 20 ns,
/// with a vector it costs 200. Everything is a matrix, a plain row too, so that each expression is
/// compiled once for each dtype.
template <class T>
auto as_rows(T* data, std::int64_t rows, std::int64_t columns) {
  const auto m = static_cast<std::size_t>(rows), n = static_cast<std::size_t>(columns);
  return xt::adapt(data, m * n, xt::no_ownership(), std::array<std::size_t, 2>{m, n});
}

/// A constant of the element type of expression E, so that a float expression stays float, and
/// vectorised.
template <class E>
auto like(const E&, double value) {
  return static_cast<typename E::value_type>(value);
}

// The functions given to map() and zip() take `const auto&`: xtensor expressions refer to what they
// were made of.

// The bytes of the widest vector, to which the pool aligns every tensor.
inline constexpr std::size_t kVectorBytes = 64;

// y[j] = f(x_0[j], ...) for less than a full vector of elements, computed as one.
template <class T, class F, class... Ts>
void map_part(F f, std::int64_t size, T* y, const Ts*... x) {
  constexpr std::int64_t kLanes = kVectorBytes / sizeof(T);
  if (size == 0) return;
  const auto padded = [size](const T* from) {
    std::array<T, kLanes> values{};
    std::copy_n(from, size, values.data());
    return values;
  };
  const std::tuple inputs(padded(x)...);
  alignas(kVectorBytes) std::array<T, kLanes> result;
  auto out = as_rows(result.data(), 1, kLanes);
  std::apply([&](const auto&... in) { xt::noalias(out) = f(as_rows(in.data(), 1, kLanes)...); },
             inputs);
  std::copy_n(result.data(), size, y);
}

// xtensor computes what lies before the first and after the last full, aligned vector of y element
// by element, and then exp and its kin round otherwise. Results must not depend on where an element
// stands, so those few are moved into a full vector of their own.
template <class T, class F, class... Ts>
void map_row(F f, std::int64_t size, T* y, const Ts*... x) {
  constexpr std::int64_t kLanes = kVectorBytes / sizeof(T);
  const auto place = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(y) / sizeof(T));
  const std::int64_t head = std::min((kLanes - place % kLanes) % kLanes, size);
  const std::int64_t tail = (size - head) % kLanes, body = size - head - tail;
  map_part(f, head, y, x...);
  if (body > 0) {
    auto out = as_rows(y + head, 1, body);
    xt::noalias(out) = f(as_rows(x + head, 1, body)...);
  }
  map_part(f, tail, y + head + body, (x + head + body)...);
}

/// f(x_0, x_1, ...) element by element into a new tensor; all of x's shape and dtype.
template <class F, class... Rest>
Tensor map(const char* name, F f, const Tensor& x, const Rest&... rest) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch_device(x.device(), name, [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), name, [&]<class T>(T) {
      map_row(f, y.numel(), y.data<T>(), x.data<T>(), rest.template data<T>()...);
    });
  });
  return y;
}

// One block of f(a, b). xtensor broadcasts a repeated row well, but a repeated column 6 times
// slower than spreading it out in `spare` first (2,000 x 15 floats: 89 us against 15, AMD EPYC
// Genoa).
template <class T, class F>
void zip_block(F f, const BroadcastPlan::Axis& outer, const BroadcastPlan::Axis& inner, const T* a,
               const T* b, T* y, T* spare) {
  const std::int64_t rows = outer.size, columns = inner.size;
  if (inner.a && inner.b) {
    auto out = as_rows(y, rows, columns);
    xt::noalias(out) =
        f(as_rows(a, outer.a ? rows : 1, columns), as_rows(b, outer.b ? rows : 1, columns));
    return;
  }
  for (std::int64_t row = 0; row < rows; ++row, y += columns) {
    std::fill_n(spare, columns, inner.a ? *b : *a);
    auto out = as_rows(y, 1, columns);
    xt::noalias(out) =
        f(as_rows(inner.a ? a : spare, 1, columns), as_rows(inner.b ? b : spare, 1, columns));
    a += outer.a ? (inner.a ? columns : 1) : 0;
    b += outer.b ? (inner.b ? columns : 1) : 0;
  }
}

/// f(a, b) element by element with broadcasting; a and b of one dtype.
template <class F>
Tensor zip(const char* name, F f, const Tensor& a, const Tensor& b) {
  check(a.dtype() == b.dtype(), name, "the inputs are {} and {}, they must be the same",
        to_string(a.dtype()), to_string(b.dtype()));
  if (a.shape() == b.shape()) return map(name, f, a, b);
  const BroadcastPlan plan(name, a.shape(), b.shape());
  Tensor y = Tensor::empty(plan.output(), a.dtype(), a.device());
  Tensor spare = Tensor::empty({plan.inner().size}, a.dtype(), a.device());
  dispatch_device(a.device(), name, [&] {
    dispatch_dtype(FloatingTypes{}, a.dtype(), name, [&]<class T>(T) {
      plan.for_each_block([&](std::int64_t ia, std::int64_t ib, std::int64_t iy) {
        zip_block(f, plan.outer(), plan.inner(), a.data<T>() + ia, b.data<T>() + ib,
                  y.data<T>() + iy, spare.data<T>());
      });
    });
  });
  return y;
}

}  // namespace maskgrad::ops
