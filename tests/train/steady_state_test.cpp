// A training step that repeats asks the system for no memory. Counts every allocation of this
// program by standing in for the C library's functions; C++'s new ends up in them. Only OpenBLAS's
// own are left out: its small-matrix kernels for AVX-512 pack into memory from malloc.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "support/threads.hpp"
#include "train/blog_run.hpp"

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

namespace {

std::atomic<std::int64_t> allocations = 0;
std::atomic<std::size_t> last_size = 0;
std::atomic<bool> counting = false;

}  // namespace

#if MASKGRAD_COUNTS_ALLOCATIONS
namespace {

void note(const void* caller, std::size_t size) {
  Dl_info library;
  if (!counting || (dladdr(caller, &library) && std::strstr(library.dli_fname, "libopenblas"))) {
    return;
  }
  allocations.fetch_add(1, std::memory_order_relaxed);
  last_size.store(size, std::memory_order_relaxed);
}

}  // namespace

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  note(__builtin_return_address(0), size);
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  note(__builtin_return_address(0), count * size);
  return __libc_calloc(count, size);
}
void* realloc(void* block, std::size_t size) {
  note(__builtin_return_address(0), size);
  return __libc_realloc(block, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  note(__builtin_return_address(0), size);
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  note(__builtin_return_address(0), size);
  *block = __libc_memalign(alignment, size);
  return *block ? 0 : ENOMEM;
}
}  // extern "C"
#endif

namespace maskgrad {
namespace {

using test::BlogRun;

// Steps over more than an epoch, so that each way a batch can come is met.
constexpr int kWarmUp = 1200, kMeasured = 600;

class SteadyState : public ::testing::Test {
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

  // More batches than a loader reads ahead. Warming up beside them takes the memory that steps take
  // later beside a loader that is ahead, even where its thread has hardly had a turn until then.
  static std::vector<Batch> as_many_as_are_read_ahead(const SequenceDataset& data,
                                                      const DataLoader::Options& loading) {
    DataLoader loader(data, loading);
    std::vector<Batch> batches;
    for (int i = 0; i < 80; ++i) batches.push_back(loader.next());
    return batches;
  }

  static std::int64_t allocations_of_a_run(MaskAxis axis, DType dtype, std::int64_t batch_size,
                                           PackWhen pack = PackWhen::kNever,
                                           const Trainer::Options& training = {}) {
    const DataLoader::Options loading = {.batch_size = batch_size, .shuffle = true};
    BlogRun run(axis, dtype, loading, training);
    run.layers->pack(pack);
    const auto steps = [&](int count) {
      for (int i = 0; i < count; ++i) run.trainer.step(run.loader.next());
    };
    {
      const std::vector<Batch> held = as_many_as_are_read_ahead(run.data, loading);
      steps(kWarmUp);
    }
    return counted([&] { steps(kMeasured); });
  }
};

TEST_F(SteadyState, AStepOfTheBlogsModelAllocatesNothing) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const MaskAxis axis : {MaskAxis::kKey, MaskAxis::kQuery, MaskAxis::kNone}) {
      EXPECT_EQ(allocations_of_a_run(axis, dtype, 2), 0)
          << to_string(axis) << ", the last of " << last_size << " bytes";
    }
  }
}

TEST_F(SteadyState, NorDoesOneOnSeveralThreads) {
  const test::WithThreads threads(2);
  EXPECT_EQ(allocations_of_a_run(MaskAxis::kKey, DType::kFloat32, 100), 0)
      << "the last of " << last_size << " bytes";
}

TEST_F(SteadyState, NorDoesOneInMicroBatchesThatClips) {
  EXPECT_EQ(allocations_of_a_run(MaskAxis::kKey, DType::kFloat32, 10, PackWhen::kNever,
                                 {.clip_norm = 1.0, .micro_batches = 4}),
            0)
      << "the last of " << last_size << " bytes";
}

TEST_F(SteadyState, NorDoesOneThatPacks) {
  for (const PackWhen pack : {PackWhen::kAuto, PackWhen::kAlways}) {
    EXPECT_EQ(allocations_of_a_run(MaskAxis::kKey, DType::kFloat32, 2, pack), 0)
        << to_string(pack) << ", the last of " << last_size << " bytes";
  }
}

TEST_F(SteadyState, NorDoesTheTrainerWithinAnEpoch) {
  struct Watch : Callback {
    explicit Watch(std::vector<Batch> batches) : held(std::move(batches)) {}
    void on_step(const Trainer&, const StepInfo& step) override {
      if (step.step == 510) {  // the second epoch has begun
        held.clear();
        allocations = 0;
      }
      counting = step.step >= 510 && step.step < 990;
    }
    std::vector<Batch> held;
  };
  const DataLoader::Options loading = {.batch_size = 2};
  BlogRun run(MaskAxis::kKey, DType::kFloat32, loading, {.epochs = 2});
  run.trainer.add(std::make_unique<Watch>(as_many_as_are_read_ahead(run.data, loading)));
  run.trainer.run(false);
  EXPECT_FALSE(counting);
  EXPECT_EQ(allocations, 0) << "the last of " << last_size << " bytes";
}

}  // namespace
}  // namespace maskgrad
