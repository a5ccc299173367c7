// Where numbers have a property. Internal to src/layers.
#pragma once

#include <algorithm>

#include <maskgrad/tensor/dtype.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// Where is(x) holds: bool on the host, of the shape of x, which is floating. The host waits for an
/// x that is on a device.
template <class F>
Tensor bits_where(const char* name, const Tensor& given, F is) {
  const Tensor x = given.to(Device{});
  Tensor bits = Tensor::empty(x.shape(), DType::kBool);
  dispatch_dtype(FloatingTypes{}, x.dtype(), name, [&]<class T>(T) {
    std::transform(x.data<T>(), x.data<T>() + x.numel(), bits.data<bool>(), is);
  });
  return bits;
}

/// Which rows of x [B, C] hold a number that is not 0: bool [B]. NaN is not 0.
inline Tensor rows_not_zero(const char* name, const Tensor& x) {
  const Tensor bits = bits_where(name, x, [](auto value) { return value != 0; });
  const std::int64_t columns = x.dim(1);
  Tensor rows = Tensor::empty({x.dim(0)}, DType::kBool);
  for (std::int64_t b = 0; b < rows.numel(); ++b) {
    const bool* const row = bits.data<bool>() + b * columns;
    rows.data<bool>()[b] = std::find(row, row + columns, true) != row + columns;
  }
  return rows;
}

/// Where x is above 0, or NaN: a NaN that is not read would be hidden.
inline Tensor not_closed(const char* name, const Tensor& x) {
  return bits_where(name, x, [](auto value) { return !(value <= 0); });
}

/// The places of the gates above 0, in their order: int64. Throws Error where one is NaN.
inline Tensor open_places(const char* name, const Tensor& gates) {
  const Tensor bits = bits_where(name, gates, [&](auto gate) {
    check(gate == gate, name, "a gate is NaN");
    return gate > 0;
  });
  const bool *const begin = bits.data<bool>(), *const end = begin + bits.numel();
  Tensor places = Tensor::empty({std::count(begin, end, true)}, DType::kInt64);
  std::int64_t* place = places.data<std::int64_t>();
  for (const bool* bit = begin; bit != end; ++bit) {
    if (*bit) *place++ = bit - begin;
  }
  return places;
}

}  // namespace maskgrad
