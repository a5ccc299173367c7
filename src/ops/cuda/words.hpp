// Elements that kernels move as they are, in words as wide as they can be. For `.cu` files.
// Internal to src/ops.
#pragma once

#include <bit>

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// The widest that a thread reads or writes at once.
struct alignas(16) Word16 {
  std::uint64_t parts[2];
};

/// Where the elements of a tensor on a device begin, whatever they are.
inline const std::byte* device_bytes(const Tensor& x) {
  return dispatch_dtype(AllTypes{}, x.dtype(), "device", [&]<class T>(T) {
    return reinterpret_cast<const std::byte*>(x.device_data<T>());
  });
}
inline std::byte* device_bytes(Tensor& x) {
  return dispatch_dtype(AllTypes{}, x.dtype(), "device", [&]<class T>(T) {
    return reinterpret_cast<std::byte*>(x.device_data<T>());
  });
}

/// Whether words begin at this address.
inline std::uint64_t alignment_of(const std::byte* place) {
  return reinterpret_cast<std::uintptr_t>(place);
}

/// Calls f(Word{}) with the widest word of which each of some numbers of bytes is a multiple. `all`
/// has the bits of all these numbers.
template <class F>
void dispatch_word(std::uint64_t all, F f) {
  if (all % sizeof(Word16) == 0) return f(Word16{});
  if (all % sizeof(std::uint64_t) == 0) return f(std::uint64_t{});
  if (all % sizeof(std::uint32_t) == 0) return f(std::uint32_t{});
  f(std::uint8_t{});
}

}  // namespace maskgrad::ops
