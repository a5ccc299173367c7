// What the emulated device is told of memory that it gave out whole, and that is handed on in
// parts: it finds kernels that leave their parts. A GPU is told nothing. For `.cu` files.
#pragma once

#include <cstddef>

#include <maskgrad/tensor/cuda/runtime.hpp>

namespace maskgrad::cuda {

#if defined(__CUDACC__)
/// Bytes behind each part that belong to none.
inline constexpr std::size_t kGuard = 0;
inline void mark(void*, std::size_t, bool) {}
#else
inline constexpr std::size_t kGuard = 256;
/// From here on in the stream kernels may touch these bytes, which hold NaN now, or they may not.
inline void mark(void* place, std::size_t bytes, bool is_handed_out) {
  emulation::enqueue(stream(), [=] {
    is_handed_out ? emulation::give_out(place, bytes) : emulation::take_back(place, bytes);
  });
}
#endif

}  // namespace maskgrad::cuda
