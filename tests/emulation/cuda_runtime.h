// What <cuda_runtime.h> declares, as far as this project uses it, for the emulated device.
#pragma once

#include <cmath>
#include <functional>
#include <tuple>

#include "emulation/emulator.hpp"
#include "emulation/memory.hpp"

// ---- in kernels

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __grid_constant__

#define MASKGRAD_PLACE (::maskgrad::emulation::Place{__FILE__, __LINE__})
#define __syncthreads() static_cast<void>(::maskgrad::emulation::sync_threads(MASKGRAD_PLACE))
#define __syncthreads_or(vote) \
  static_cast<int>(::maskgrad::emulation::sync_threads(MASKGRAD_PLACE, (vote) != 0).any)
#define __syncthreads_and(vote) \
  static_cast<int>(::maskgrad::emulation::sync_threads(MASKGRAD_PLACE, (vote) != 0).all)
#define __syncthreads_count(vote) \
  ::maskgrad::emulation::sync_threads(MASKGRAD_PLACE, (vote) != 0).count
#define __syncwarp() ::maskgrad::emulation::sync_warp(0xffffffffu, MASKGRAD_PLACE)
#define __shfl_sync(mask, value, from) \
  ::maskgrad::emulation::shuffle(mask, value, static_cast<unsigned>(from), MASKGRAD_PLACE)
#define __shfl_xor_sync(mask, value, by) \
  ::maskgrad::emulation::shuffle(        \
      mask, value, ::maskgrad::emulation::own_lane() ^ static_cast<unsigned>(by), MASKGRAD_PLACE)
#define __ballot_sync(mask, vote) ::maskgrad::emulation::ballot(mask, (vote) != 0, MASKGRAD_PLACE)

/// Of an integer, on which the order of threads leaves no trace.
inline int atomicAnd(int* place, int value) { return ::maskgrad::emulation::and_to(place, value); }

#define MASKGRAD_SHARED(type, name, dims) \
  auto& name = ::maskgrad::emulation::shared<type dims>([] {})

// ---- on the host

#define CUDART_VERSION 13000

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorDevicesUnavailable = 46,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorUnsupportedPtxVersion = 222,
  cudaErrorJitCompilationDisabled = 223,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
};
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);

// Streams and events. A stream does its work when somebody waits for it.

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);

// Memory. What is pinned is read when the copy is done, and what is not when it is asked for,
// unless the device reads the host's memory by itself.

enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
inline constexpr unsigned cudaHostAllocDefault = 0, cudaHostAllocMapped = 2;

cudaError_t cudaMalloc(void** block, std::size_t bytes);
cudaError_t cudaFree(void* block);
cudaError_t cudaMallocAsync(void** block, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* block, cudaStream_t stream);
cudaError_t cudaHostAlloc(void** block, std::size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* block);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);

// Graphs. What a stream is given while it is captured is kept with its arguments.

using cudaGraph_t = struct CUgraph_st*;
using cudaGraphExec_t = struct CUgraphExec_st*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1, cudaStreamCaptureModeRelaxed };

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t made);
cudaError_t cudaGraphLaunch(cudaGraphExec_t made, cudaStream_t stream);

// Kernels.

enum cudaDeviceAttr {
  cudaDevAttrComputeCapabilityMajor,
  cudaDevAttrComputeCapabilityMinor,
  cudaDevAttrPageableMemoryAccess
};
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);

struct cudaDeviceProp {
  char name[256];
};
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);

struct cudaFuncAttributes {
  int ptxVersion;
};
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel);

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  const char* name = nullptr;  // not of CUDA's
};

namespace maskgrad::emulation {
void enqueue(cudaStream_t stream, std::function<void()> work);
}  // namespace maskgrad::emulation

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A... args) {
  const maskgrad::emulation::Config how{config->gridDim, config->blockDim};
  if (!is_valid(how) || config->dynamicSmemBytes != 0) return cudaErrorInvalidConfiguration;
  maskgrad::emulation::enqueue(config->stream, [how, name = config->name, kernel, args...] {
    // On the stack: what a kernel reads of the heap is the host's.
    const std::tuple<P...> given(args...);
    void (*const begin)(P...) = kernel;
    maskgrad::emulation::run(how, name, [&] { std::apply(begin, given); });
  });
  return cudaSuccess;
}
