#include <cstdlib>
#include <sstream>

#include <dlfcn.h>
#include <sys/mman.h>

#include <maskgrad/ops/blas.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad::ops {
namespace {

constexpr const char* kLibrary = "libopenblas.so.0";

// Asks for the memory that OpenBLAS is about to ask for, with some to spare, and gives it back.
void check_memory() {
  constexpr std::size_t kBuffer = (128 << 20) + (4 << 20);
  void* const block =
      ::mmap(nullptr, kBuffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(block != MAP_FAILED, "blas", "the system has no memory for it, {} MiB", kBuffer >> 20);
  ::munmap(block, kBuffer);
}

// OpenBLAS reads how many threads to start while it is being loaded.
void* load_with_one_thread() {
  constexpr const char* kThreads = "OPENBLAS_NUM_THREADS";
  const char* const before = std::getenv(kThreads);
  const std::string kept = before ? before : "";
  ::setenv(kThreads, "1", 1);
  void* const library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (before)
    ::setenv(kThreads, kept.c_str(), 1);
  else
    ::unsetenv(kThreads);
  return library;
}

}  // namespace

Blas& Blas::loaded() {
  static Blas blas;
  return blas;
}

Blas::Blas() : library_(load_with_one_thread()) {
  if (!library_) fail("blas", "cannot load {}: {}", kLibrary, ::dlerror());
  sgemm_ = find<Gemm<float>>("cblas_sgemm");
  dgemm_ = find<Gemm<double>>("cblas_dgemm");
  // Somebody else may have loaded it before.
  find<void (*)(int)>("openblas_set_num_threads")(1);
}

template <class Function>
Function Blas::find(const char* name) const {
  void* const function = ::dlsym(library_, name);
  check(function != nullptr, "blas", "{} has no {}", kLibrary, name);
  return reinterpret_cast<Function>(function);
}

template <class T>
void Blas::multiply(bool transpose_a, bool transpose_b, int m, int n, int k, const T* a, const T* b,
                    T* y) {
  constexpr int kRowMajor = 101, kAsItIs = 111, kTransposed = 112;
  const std::lock_guard lock(turn_);
  if (!has_buffer_) check_memory();
  const auto multiply_in_turn = [&](auto gemm) {
    gemm(kRowMajor, transpose_a ? kTransposed : kAsItIs, transpose_b ? kTransposed : kAsItIs, m, n,
         k, T{1}, a, transpose_a ? m : k, b, transpose_b ? k : n, T{0}, y, n);
  };
  if constexpr (sizeof(T) == sizeof(float))
    multiply_in_turn(sgemm_);
  else
    multiply_in_turn(dgemm_);
  has_buffer_ = true;
}

template void Blas::multiply(bool, bool, int, int, int, const float*, const float*, float*);
template void Blas::multiply(bool, bool, int, int, int, const double*, const double*, double*);

// The configuration opens with name and version; what follows is how it was built.
std::string Blas::description() const {
  std::istringstream words(find<char* (*)()>("openblas_get_config")());
  std::string name, version;
  words >> name >> version;
  return fmt::format("{} {}, kernels for {}", name, version,
                     find<char* (*)()>("openblas_get_corename")());
}

}  // namespace maskgrad::ops
