// The process' one CUDA device: its stream, its memory, and why it cannot be used. For `.cu` files.
#pragma once

#include <cstddef>
#include <mutex>

#include <cuda_runtime.h>

#include <maskgrad/tensor/cuda/device_counts.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad::cuda {

/// Throws Error "[device] cuda: ..." when there is no device that can be used, with the reason.
void check_usable();

/// The stream that all work goes to, in order. Made at the first call. Throws Error as
/// check_usable().
cudaStream_t stream();

/// Held while the device is given something, and while memory changes hands. So calls from several
/// threads come one after another.
std::recursive_mutex& device_lock();

/// Waits for all work. Throws Error when some of it has failed.
void synchronize();

/// What device_counts() returns. For who holds device_lock().
DeviceCounts& counted();

/// Throws Error "[name] cuda: <what CUDA says>" unless `error` is none.
inline void check_cuda(cudaError_t error, const char* name) {
  check(error == cudaSuccess, name, "cuda: {}", cudaGetErrorString(error));
}

}  // namespace maskgrad::cuda
