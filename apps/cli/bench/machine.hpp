// What figures were taken on, to stand beside them.
#pragma once

#include <string>

namespace maskgrad::apps {

/// What decides how fast this program runs here; a text is empty where it cannot be known.
struct Machine {
  std::string processor;     // "AMD EPYC 7763 64-Core Processor"
  int threads;               // that operations use
  std::string compiler;      // "GCC 12.2.0"
  bool native;               // compiled for every instruction of the machine that compiled
  std::string instructions;  // that operations compute with: "AVX-512"
  std::string blas;          // "OpenBLAS 0.3.21, kernels for SkylakeX"
};
Machine this_machine();
/// "cuBLAS 13.1.0"; empty where the GPU multiplies without it. For builds with CUDA.
std::string cublas_of_device();

}  // namespace maskgrad::apps
