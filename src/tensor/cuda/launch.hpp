// How kernels are started, and what they share. For `.cu` files.
//
// Tests compile the same files for an emulated device (tests/emulation). So kernels use the macros
// and functions here where CUDA has a syntax of its own, and no atomics on floating numbers: the
// order of every sum is fixed.
#pragma once

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

/// Which kernel, for messages, how many blocks of how many threads, and the bytes that each block
/// has for dynamic_shared(). Beyond 48 KiB of them, cards differ in how many there are.
struct Launch {
  const char* name;
  dim3 grid, block;
  std::size_t dynamic_shared = 0;
};

/// A kernel with its arguments.
template <class... P>
struct Start {
  Launch how;
  void (*kernel)(P...);
  std::tuple<P...> arguments;

  void operator()() const {
    if (how.dynamic_shared > (std::size_t{48} << 10)) ask_for_shared();
    cudaLaunchConfig_t config{};
    config.gridDim = how.grid;
    config.blockDim = how.block;
    config.dynamicSmemBytes = how.dynamic_shared;
    config.stream = stream();
#if !defined(__CUDACC__)
    config.name = how.name;  // the emulated device names kernels in its messages
#endif
    const auto call = [&](const P&... p) { return cudaLaunchKernelEx(&config, kernel, p...); };
    check_cuda(std::apply(call, arguments), how.name);
    if (waits_for_each_launch()) check_cuda(cudaStreamSynchronize(config.stream), how.name);
  }

  // Never for less than before: a graph may hold a launch that needs more.
  void ask_for_shared() const {
    const auto* const of = reinterpret_cast<const void*>(kernel);
    cudaFuncAttributes has;
    check_cuda(cudaFuncGetAttributes(&has, of), how.name);
    const int wanted = static_cast<int>(how.dynamic_shared);
    if (has.maxDynamicSharedSizeBytes >= wanted) return;
    check_cuda(cudaFuncSetAttribute(of, cudaFuncAttributeMaxDynamicSharedMemorySize, wanted),
               how.name);
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
  const auto key = bytes_of(how.grid, how.block, how.dynamic_shared, static_cast<P>(args)...);
  step_log().give({reinterpret_cast<const void*>(kernel), key}, start);
}

/// The memory that a launch asked for with Launch::dynamic_shared.
template <class T>
__device__ T* dynamic_shared() {
#if defined(__CUDACC__)
  extern __shared__ __align__(128) unsigned char maskgrad_dynamic_shared[];
  return reinterpret_cast<T*>(maskgrad_dynamic_shared);
#else
  return static_cast<T*>(emulation::dynamic_shared());
#endif
}

/// Threads of a block in kernels with a thread for each element.
inline constexpr unsigned kThreads = 256;

/// The blocks that n elements, rows or tiles take, `each` in a block.
inline unsigned blocks_for(std::int64_t n, unsigned each = kThreads) {
  return static_cast<unsigned>((n + each - 1) / each);
}

/// The number of this thread among all of the grid, in kernels with a thread for each element.
__device__ inline std::int64_t thread_number() {
  return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

}  // namespace maskgrad::cuda
