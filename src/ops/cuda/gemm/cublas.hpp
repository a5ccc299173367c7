// cuBLAS, loaded when it is first needed. Internal to src/ops.
//
// It is not linked: with libcublasLt it takes more than 600 MB, and few runs multiply what belongs
// to it.
#pragma once

#include <memory>
#include <string>

#include <cuda_runtime.h>

#include <maskgrad/ops/cpu/gemm/gemm.hpp>
#include <maskgrad/tensor/tensor.hpp>

struct cublasContext;

namespace maskgrad::ops {

/// How a library is loaded: dlopen() and dlsym().
struct LibraryLoader {
  void* (*open)(const char* file);  // nullptr where there is none
  void* (*find)(void* library, const char* function);
};
/// The one for cuBLAS. The emulated device puts another one here.
extern LibraryLoader cublas_loader;

/// How cuBLAS multiplies float32.
enum class CublasMath {
  kExact,    // CUBLAS_COMPUTE_32F_PEDANTIC, or 64F: sums of products in the dtype
  kFastTf32  // CUBLAS_COMPUTE_32F_FAST_TF32
};

/// A handle of cuBLAS on the device's stream, which may not use atomics, with a workspace of its
/// own of 32 MiB.
class Cublas {
 public:
  /// That of the process, made at the first call; nullptr where libcublas.so of CUDA's major
  /// version cannot be loaded, or MASKGRAD_CUBLAS=off is in the environment. Any other value of
  /// MASKGRAD_CUBLAS is the library's file.
  /// Throws Error "[cublas] cannot load '...', which MASKGRAD_CUBLAS names; ...", and as the
  /// constructor.
  static std::shared_ptr<const Cublas> get();
  /// The next get() loads it anew. For tests.
  static void forget();

  /// Throws Error "[cublas] libcublas.so.13 has no cublasGemmEx: ...", and "[cublas]
  /// CUBLAS_STATUS_... of cublasCreate; ...". Nothing may be captured meanwhile.
  Cublas(void* library, const std::string& file);
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  /// y = op(a) op(b), given to the device as a launch is. T is float or double. Throws Error
  /// "[cublas] CUBLAS_STATUS_... of cublasGemmEx; ..."; in a DeviceStep, end() throws it.
  template <class T>
  static void multiply(std::shared_ptr<const Cublas> cublas, const MatrixProduct& product,
                       CublasMath math, const T* a, const T* b, T* y);

  /// "cuBLAS 13.1.0"
  std::string description() const;

 private:
  // Those of cublas_api.h, whose enumerations are ints.
  using Handle = cublasContext*;
  struct Functions {
    int (*create)(Handle*);
    int (*destroy)(Handle);
    int (*set_stream)(Handle, cudaStream_t);
    int (*set_workspace)(Handle, void*, std::size_t);
    int (*set_atomics)(Handle, int);
    int (*set_math)(Handle, int);
    int (*get_version)(Handle, int*);
    const char* (*status_name)(int);
    int (*gemm)(Handle, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha,
                const void* a, int type_a, int row_a, const void* b, int type_b, int row_b,
                const void* beta, void* c, int type_c, int row_c, int compute, int algorithm);
  };
  static Functions find_functions(void* library, const std::string& file);
  Handle make_handle() const;
  void check_status(int status, const char* function) const;

  Functions functions_;
  Tensor workspace_;
  std::unique_ptr<cublasContext, int (*)(Handle)> handle_;
};

}  // namespace maskgrad::ops
