#include "emulation/cublas.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include <cuda_runtime.h>

#include <maskgrad/ops/cuda/gemm/cublas.hpp>

#include "emulation/streams.hpp"

// What cublasCreate_v2() makes.
struct cublasContext {
  cudaStream_t stream = nullptr;
  bool has_workspace = false, has_atomics = true;
  int math = 0;
};

namespace maskgrad::emulation {
namespace {

using Handle = cublasContext*;
enum Status { kSuccess = 0, kNotInitialized = 1, kInvalidValue = 7 };
constexpr int kPedanticMath = 2, kCompute32FastTf32 = 77, kCompute64Pedantic = 71;

// It asks for memory, which nobody may while a stream is captured.
int create(Handle* handle) {
  if (is_capturing()) return kNotInitialized;
  if (emulated_cublas().status_of_create != 0) return emulated_cublas().status_of_create;
  *handle = new cublasContext;
  return kSuccess;
}
int destroy(Handle handle) {
  delete handle;
  return kSuccess;
}
int set_stream(Handle handle, cudaStream_t stream) {
  handle->stream = stream;
  handle->has_workspace = false;
  return kSuccess;
}
int set_workspace(Handle handle, void* memory, std::size_t bytes) {
  const bool is_of_use = memory && reinterpret_cast<std::uintptr_t>(memory) % 256 == 0 && bytes > 0;
  handle->has_workspace = is_of_use;
  return is_of_use ? kSuccess : kInvalidValue;
}
int set_atomics(Handle handle, int mode) {
  handle->has_atomics = mode != 0;
  return kSuccess;
}
int set_math(Handle handle, int math) {
  handle->math = math;
  return kSuccess;
}
int get_version(Handle, int* version) {
  *version = 130100;
  return kSuccess;
}
const char* status_name(int status) {
  switch (status) {
    case kSuccess:
      return "CUBLAS_STATUS_SUCCESS";
    case kNotInitialized:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case kInvalidValue:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case 13:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
  }
}

// Column-major: column j of c is the sum of the columns p of op(a), each times element (p, j) of
// op(b).
template <class T>
struct Product {
  int m, n, k;
  bool transpose_a, transpose_b, rounds;
  const T *a, *b;
  T* c;
  int row_a, row_b, row_c;

  // TF32 has 10 bits of mantissa.
  T rounded(T x) const {
    if (!rounds || !std::isfinite(x)) return x;
    return std::bit_cast<float>((std::bit_cast<std::uint32_t>(static_cast<float>(x)) + 0x1000U) &
                                0xffffe000U);
  }
  // With room between them: in memory, equal places of them are no power of two apart.
  std::vector<T> columns_of_a() const {
    std::vector<T> columns(static_cast<std::size_t>(k) * stride());
    for (int p = 0; p < k; ++p) {
      T* const to = columns.data() + static_cast<std::size_t>(p) * stride();
      for (int i = 0; i < m; ++i) {
        to[i] = rounded(a[transpose_a ? std::int64_t{i} * row_a + p : std::int64_t{p} * row_a + i]);
      }
    }
    return columns;
  }
  std::size_t stride() const { return static_cast<std::size_t>(m) + 16; }
  void operator()() const {
    const std::vector<T> columns = columns_of_a();
    std::vector<T> sums(static_cast<std::size_t>(m));
    for (int j = 0; j < n; ++j) {
      std::fill(sums.begin(), sums.end(), T{});
      for (int p = 0; p < k; ++p) {
        const T factor =
            rounded(transpose_b ? b[std::int64_t{p} * row_b + j] : b[std::int64_t{j} * row_b + p]);
        const T* const column = columns.data() + static_cast<std::size_t>(p) * stride();
        for (int i = 0; i < m; ++i) sums[static_cast<std::size_t>(i)] += column[i] * factor;
      }
      std::copy(sums.begin(), sums.end(), c + std::int64_t{j} * row_c);
    }
  }
};

template <class T>
bool has_factors_one_and_zero(const void* alpha, const void* beta) {
  return *static_cast<const T*>(alpha) == 1 && *static_cast<const T*>(beta) == 0;
}

int gemm(Handle handle, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha,
         const void* a, int type_a, int row_a, const void* b, int type_b, int row_b,
         const void* beta, void* c, int type_c, int row_c, int compute, int algorithm) {
  if (emulated_cublas().status_of_products != 0) return emulated_cublas().status_of_products;
  const bool is_fast = compute == kCompute32FastTf32, is_double = compute == kCompute64Pedantic;
  const bool has_own_settings = handle->stream && handle->has_workspace && !handle->has_atomics &&
                                (handle->math == kPedanticMath) != is_fast;
  const bool has_types = type_a == is_double && type_b == is_double && type_c == is_double;
  const bool has_sizes =
      row_a >= (transpose_a ? k : m) && row_b >= (transpose_b ? n : k) && row_c >= m;
  if (!has_own_settings || !has_types || !has_sizes || algorithm != -1) return kInvalidValue;
  const auto give = [&]<class T>(T) -> int {
    if (!has_factors_one_and_zero<T>(alpha, beta)) return kInvalidValue;
    const Product<T> product = {m,
                                n,
                                k,
                                transpose_a != 0,
                                transpose_b != 0,
                                is_fast,
                                static_cast<const T*>(a),
                                static_cast<const T*>(b),
                                static_cast<T*>(c),
                                row_a,
                                row_b,
                                row_c};
    enqueue(handle->stream, product);
    return kSuccess;
  };
  emulated_cublas().products.push_back(compute);
  return is_double ? give(double{}) : give(float{});
}

struct Named {
  const char* name;
  void* function;
};
template <class F>
Named named(const char* name, F* function) {
  return {name, reinterpret_cast<void*>(function)};
}

void* open(const char* file) {
  emulated_cublas().opened = file;
  return emulated_cublas().is_installed ? &emulated_cublas() : nullptr;
}

void* find(void*, const char* name) {
  static const std::array kFunctions = {named("cublasCreate_v2", create),
                                        named("cublasDestroy_v2", destroy),
                                        named("cublasSetStream_v2", set_stream),
                                        named("cublasSetWorkspace_v2", set_workspace),
                                        named("cublasSetAtomicsMode", set_atomics),
                                        named("cublasSetMathMode", set_math),
                                        named("cublasGetVersion_v2", get_version),
                                        named("cublasGetStatusName", status_name),
                                        named("cublasGemmEx", gemm)};
  for (const Named& function : kFunctions) {
    if (name == std::string(function.name) && name != emulated_cublas().lacks) {
      return function.function;
    }
  }
  return nullptr;
}

const bool kIsLoaderOfProgram = [] {
  ops::cublas_loader = {open, find};
  return true;
}();

}  // namespace

EmulatedCublas& emulated_cublas() {
  static EmulatedCublas cublas;
  return cublas;
}

}  // namespace maskgrad::emulation
