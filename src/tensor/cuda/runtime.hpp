// The process' one CUDA device: its stream, its memory, and why it cannot be used. For `.cu` files.
#pragma once

#include <cstddef>

#include <cuda_runtime.h>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::cuda {

/// Throws Error "[device] cuda: ..." when there is no device that can be used, with the reason.
void check_usable();

/// The stream that all work goes to, in order. Made at the first call.
/// Throws Error as check_usable().
cudaStream_t stream();

/// Waits for all work. Throws Error when some of it has failed.
void synchronize();

/// Throws Error "[name] cuda: <what CUDA says>" unless `error` is none.
inline void check_cuda(cudaError_t error, const char* name) {
  check(error == cudaSuccess, name, "cuda: {}", cudaGetErrorString(error));
}

}  // namespace maskgrad::cuda
