// Counts every allocation of a program by standing in for the C library's functions; C++'s new ends
// up in them. Only OpenBLAS's own are left out: its small-matrix kernels for AVX-512 pack into
// memory from malloc.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include <dlfcn.h>
#include <gtest/gtest.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MASKGRAD_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define MASKGRAD_COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(__GLIBC__)
#define MASKGRAD_COUNTS_ALLOCATIONS 0
#elif !defined(MASKGRAD_COUNTS_ALLOCATIONS)
#define MASKGRAD_COUNTS_ALLOCATIONS 1
#endif

namespace maskgrad::test {

inline std::atomic<std::int64_t> allocations = 0;
inline std::atomic<std::size_t> last_size = 0;
inline std::atomic<bool> counting = false;

}  // namespace maskgrad::test

#if MASKGRAD_COUNTS_ALLOCATIONS
namespace maskgrad::test {

inline void note(const void* caller, std::size_t size) {
  Dl_info library;
  if (!counting || (dladdr(caller, &library) && std::strstr(library.dli_fname, "libopenblas"))) {
    return;
  }
  allocations.fetch_add(1, std::memory_order_relaxed);
  last_size.store(size, std::memory_order_relaxed);
}

}  // namespace maskgrad::test

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

[[gnu::used]] inline void* malloc(std::size_t size) {
  maskgrad::test::note(__builtin_return_address(0), size);
  return __libc_malloc(size);
}
[[gnu::used]] inline void* calloc(std::size_t count, std::size_t size) {
  maskgrad::test::note(__builtin_return_address(0), count * size);
  return __libc_calloc(count, size);
}
[[gnu::used]] inline void* realloc(void* block, std::size_t size) {
  maskgrad::test::note(__builtin_return_address(0), size);
  return __libc_realloc(block, size);
}
[[gnu::used]] inline void* aligned_alloc(std::size_t alignment, std::size_t size) {
  maskgrad::test::note(__builtin_return_address(0), size);
  return __libc_memalign(alignment, size);
}
[[gnu::used]] inline int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  maskgrad::test::note(__builtin_return_address(0), size);
  *block = __libc_memalign(alignment, size);
  return *block ? 0 : ENOMEM;
}
}  // extern "C"
#endif

namespace maskgrad::test {

/// Tests that count allocations. They are left out where a sanitizer counts them itself.
class CountsAllocations : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MASKGRAD_COUNTS_ALLOCATIONS) GTEST_SKIP() << "a sanitizer counts allocations itself";
    const std::int64_t found = counted([] {
      void* volatile block =
          std::malloc(1);  // a compiler may leave out a pair that it sees through
      std::free(block);
      ::operator delete(::operator new(64, std::align_val_t(64)), std::align_val_t(64));
    });
    ASSERT_EQ(found, 2) << "the functions of this file are not the ones called";
  }

  // How often the program allocates while f runs.
  template <class F>
  static std::int64_t counted(F f) {
    allocations = 0;
    counting = true;
    f();
    counting = false;
    return allocations;
  }
};

}  // namespace maskgrad::test
