// Which cuBLAS multiplies large matrices. Internal to src/ops and its benchmarks.
#pragma once

#include <string>

namespace maskgrad::ops {

/// "cuBLAS 13.1.0", or "" where there is none. Null in a build without CUDA.
using CublasDescription = std::string (*)();
inline constinit CublasDescription cublas_description = nullptr;

}  // namespace maskgrad::ops
