// What functors of elements are declared with, so that CUDA kernels can call them. Installed for
// ops/cuda/elements.hpp.
#pragma once

#if defined(__CUDACC__)
/// Of a function: for the host and for a device.
#define MASKGRAD_RULE __host__ __device__
/// Of a constant whose address functions take.
#define MASKGRAD_TABLE __device__ constexpr
#else
#define MASKGRAD_RULE [[gnu::always_inline]]
#define MASKGRAD_TABLE inline constexpr
#endif
