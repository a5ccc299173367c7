// OpenBLAS, loaded when it is first needed. Internal to src/ops and its benchmarks.
//
// A program that is linked to OpenBLAS starts a thread of it for each processor, and each takes a
// buffer of 128 MiB; where the system refuses that memory, they ask again for ever, and the program
// does not even end. Most runs never multiply what belongs to OpenBLAS.
#pragma once

#include <mutex>
#include <string>

namespace maskgrad::ops {

class Blas {
 public:
  template <class T>
  using Gemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha,
                        const T* a, int row_a, const T* b, int row_b, T beta, T* c, int row_c);

  /// Loads it at the first call. Throws Error "[blas] cannot load libopenblas.so.0: ...".
  static Blas& loaded();

  /// Its cblas_sgemm or cblas_dgemm. To be called while a Use lasts.
  template <class T>
  Gemm<T> gemm() const;

  /// "OpenBLAS 0.3.21, kernels for SkylakeX"
  std::string description() const;

  /// While one lives, up to `threads` threads of ours may multiply, each alone: with threads of its
  /// own OpenBLAS adds in another order. After the last, OpenBLAS has as many threads as before:
  /// somebody else in this process may use it.
  class Use {
   public:
    /// Throws Error "[blas] the system has no memory for it, 264 MiB" where a buffer for each
    /// thread cannot be had.
    Use(Blas& blas, int threads);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Blas& blas_;
    int threads_;
  };

 private:
  Blas();
  template <class Function>
  Function find(const char* name) const;
  void allocate_buffers(int wanted);

  void* library_;
  Gemm<float> sgemm_;
  Gemm<double> dgemm_;
  int (*get_threads_)();
  void (*set_threads_)(int);
  void* (*allocate_)(int);
  void (*free_)(void*);
  std::mutex mutex_;  // of what follows
  int users_ = 0, buffers_ = 0, threads_before_ = 1;
};

}  // namespace maskgrad::ops
