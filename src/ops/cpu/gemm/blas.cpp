#include <cstdlib>
#include <sstream>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>

#include <maskgrad/ops/cpu/gemm/blas.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad::ops {
namespace {

constexpr const char* kLibrary = "libopenblas.so.0";

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
  get_threads_ = find<int (*)()>("openblas_get_num_threads");
  set_threads_ = find<void (*)(int)>("openblas_set_num_threads");
  allocate_ = find<void* (*)(int)>("blas_memory_alloc");
  free_ = find<void (*)(void*)>("blas_memory_free");
}

template <class Function>
Function Blas::find(const char* name) const {
  void* const function = ::dlsym(library_, name);
  check(function != nullptr, "blas", "{} has no {}", kLibrary, name);
  return reinterpret_cast<Function>(function);
}

template <>
Blas::Gemm<float> Blas::gemm<float>() const {
  return sgemm_;
}
template <>
Blas::Gemm<double> Blas::gemm<double>() const {
  return dgemm_;
}

// OpenBLAS keeps the buffers that it was once asked for. They are asked for together, after the
// same memory, with some to spare, was had from the system and given back. Those of others who
// multiply now may be in use, and are not counted.
void Blas::allocate_buffers(int wanted) {
  if (wanted <= buffers_) return;
  constexpr std::size_t kBuffer = (128 << 20) + (4 << 20);
  const auto missing = static_cast<std::size_t>(users_ > 0 ? wanted : wanted - buffers_);
  const std::size_t bytes = missing * kBuffer;
  void* const block =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(block != MAP_FAILED, "blas", "the system has no memory for it, {} MiB", bytes >> 20);
  ::munmap(block, bytes);
  std::vector<void*> buffers;
  for (int i = 0; i < wanted; ++i) buffers.push_back(allocate_(0));
  for (void* const buffer : buffers) free_(buffer);
  buffers_ = wanted;
}

Blas::Use::Use(Blas& blas, int threads) : blas_(blas), threads_(threads) {
  const std::lock_guard lock(blas.mutex_);
  blas.allocate_buffers(blas.users_ + threads);
  if (blas.users_ == 0) {
    blas.threads_before_ = blas.get_threads_();
    if (blas.threads_before_ != 1) blas.set_threads_(1);
  }
  blas.users_ += threads;
}

Blas::Use::~Use() {
  const std::lock_guard lock(blas_.mutex_);
  blas_.users_ -= threads_;
  if (blas_.users_ == 0 && blas_.threads_before_ != 1) blas_.set_threads_(blas_.threads_before_);
}

// The configuration opens with name and version; what follows is how it was built.
std::string Blas::description() const {
  std::istringstream words(find<char* (*)()>("openblas_get_config")());
  std::string name, version;
  words >> name >> version;
  return fmt::format("{} {}, kernels for {}", name, version,
                     find<char* (*)()>("openblas_get_corename")());
}

}  // namespace maskgrad::ops
