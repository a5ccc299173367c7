// How kernels are started, and what they share. For `.cu` files.
//
// Tests compile the same files for an emulated device (tests/emulation). So kernels use the macros
// and functions here where CUDA has a syntax of its own, and no atomics on floating numbers: the
// order of every sum is fixed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include <maskgrad/tensor/cuda/step_log.hpp>

#if defined(__CUDACC__)
/// MASKGRAD_SHARED(float, tile, [64][65]): memory that the threads of a block share, at most 48
/// KiB.
#define MASKGRAD_SHARED(type, name, dims) __shared__ type name dims
#endif

namespace maskgrad::cuda {

/// Which kernel, for messages, and how many blocks of how many threads.
struct Launch {
  const char* name;
  dim3 grid, block;
};

/// A kernel with its arguments.
template <class... P>
struct Start {
  Launch how;
  void (*kernel)(P...);
  std::tuple<P...> arguments;

  void operator()() const {
    cudaLaunchConfig_t config{};
    config.gridDim = how.grid;
    config.blockDim = how.block;
    config.stream = stream();
#if !defined(__CUDACC__)
    config.name = how.name;  // the emulated device names kernels in its messages
#endif
    const auto call = [&](const P&... p) { return cudaLaunchKernelEx(&config, kernel, p...); };
    check_cuda(std::apply(call, arguments), how.name);
    wait_if_asked(how.name);
  }
};

/// Starts kernel(args...) on stream(), in a DeviceStep with the rest of the step; a grid without
/// blocks starts nothing. The arguments are converted to the kernel's parameters, which are copied
/// bytes. Throws Error "[name] cuda: ..." for what the device refuses to start; in a DeviceStep,
/// end() throws it.
template <class... P, class... A>
void launch(const Launch& how, void (*kernel)(P...), A... args) {
  static_assert((std::is_trivially_copyable_v<P> && ...));
  if (how.grid.x == 0 || how.grid.y == 0 || how.grid.z == 0) return;
  const Start<P...> start{how, kernel, {static_cast<P>(args)...}};
  const auto key = bytes_of(how.grid, how.block, static_cast<P>(args)...);
  step_log().give({reinterpret_cast<const void*>(kernel), key}, start);
}

/// Threads of a block in kernels with a thread for each element.
inline constexpr unsigned kThreads = 256;

/// The blocks that n elements, rows or tiles take, `each` in a block. Throws Error for more than a
/// grid may have.
inline unsigned blocks_for(std::int64_t n, unsigned each = kThreads) {
  const std::int64_t blocks = (n + each - 1) / each;
  check(blocks <= INT32_MAX, "device", "cuda: {} blocks are more than a kernel may have", blocks);
  return static_cast<unsigned>(blocks);
}

/// The blocks of a kernel whose threads walk over n elements in strides of the grid: no more than
/// work at once.
inline unsigned blocks_of_stride(std::int64_t n) {
  constexpr unsigned kMost = 2048;
  return std::min(blocks_for(n), kMost);
}

/// The number of this thread among all of the grid, in kernels with a thread for each element.
__device__ inline std::int64_t thread_number() {
  return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
/// How many threads the grid has.
__device__ inline std::int64_t thread_count() { return std::int64_t{gridDim.x} * blockDim.x; }

}  // namespace maskgrad::cuda
