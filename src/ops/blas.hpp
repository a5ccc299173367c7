// OpenBLAS, loaded when it is first needed. Internal to src/ops and its benchmarks.
//
// A program that is linked to OpenBLAS starts a thread of it for each processor, and each takes a
// buffer of 128 MiB; where the system refuses that memory, they ask again for ever, and the program
// does not even end. Most runs never multiply what belongs to OpenBLAS.
#pragma once

#include <mutex>
#include <string>

namespace maskgrad::ops {

/// The functions of OpenBLAS that are called, and the one thread that may: with another number it
/// adds in another order.
class Blas {
 public:
  /// Loads it at the first call. Throws Error "[blas] cannot load libopenblas.so.0: ...".
  static Blas& loaded();

  /// y [m, n] = op(a) op(b), all row-major. Callers on several threads take turns: OpenBLAS keeps
  /// one buffer for those that come at once, and must ask the system for no other. Throws Error
  /// "[blas] the system has no memory for it" where that buffer cannot be had.
  template <class T>
  void multiply(bool transpose_a, bool transpose_b, int m, int n, int k, const T* a, const T* b,
                T* y);

  /// "OpenBLAS 0.3.21, kernels for SkylakeX"
  std::string description() const;

 private:
  template <class T>
  using Gemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha,
                        const T* a, int row_a, const T* b, int row_b, T beta, T* y, int row_y);

  Blas();
  template <class Function>
  Function find(const char* name) const;

  void* library_;
  Gemm<float> sgemm_;
  Gemm<double> dgemm_;
  std::mutex turn_;
  bool has_buffer_ = false;
};

}  // namespace maskgrad::ops
