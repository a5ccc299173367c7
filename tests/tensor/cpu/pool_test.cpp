#include <algorithm>
#include <cstring>
#include <new>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/cpu/pool.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/tensor.hpp>

#include "support/limited_memory.hpp"

namespace maskgrad {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kReuses = false;
#elif defined(__has_feature)
constexpr bool kReuses = !__has_feature(address_sanitizer);
#else
constexpr bool kReuses = true;
#endif
#define SKIP_WITHOUT_REUSE() \
  if (!kReuses) GTEST_SKIP() << "under AddressSanitizer nothing is reused"

TEST(Pool, GivesAlignedBlocksThatMayBeWrittenToTheEnd) {
  Pool pool;
  for (std::size_t bytes = 0; bytes < 5000; bytes += bytes < 1100 ? 1 : 37) {
    void* block = pool.allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % Pool::kAlignment, 0U) << bytes;
    std::memset(block, 0xab, bytes);
    pool.deallocate(block, bytes);
  }
}

TEST(Pool, HandsOutTheBlockThatCameBackLast) {
  SKIP_WITHOUT_REUSE();
  Pool pool;
  void* first = pool.allocate(100);
  void* second = pool.allocate(100);
  EXPECT_NE(first, second);
  pool.deallocate(first, 100);
  pool.deallocate(second, 100);
  EXPECT_EQ(pool.allocate(128), second);  // the same class as 100
  EXPECT_EQ(pool.allocate(65), first);
  pool.deallocate(first, 65);
  pool.deallocate(second, 128);
}

TEST(Pool, KeepsBlocksOfDifferentSizesApart) {
  SKIP_WITHOUT_REUSE();
  Pool pool;
  for (const std::size_t edge : {64ul, 1024ul, 1280ul, 1536ul, 1792ul, 2048ul, 2560ul, 1ul << 20}) {
    void* small = pool.allocate(edge);
    pool.deallocate(small, edge);
    void* large = pool.allocate(edge + 1);
    EXPECT_NE(large, small) << edge;
    std::memset(large, 1, edge + 1);
    EXPECT_EQ(pool.allocate(edge), small) << edge;
    pool.deallocate(small, edge);
    pool.deallocate(large, edge + 1);
  }
}

TEST(Pool, AsksTheSystemForNothingInAStepThatRepeats) {
  SKIP_WITHOUT_REUSE();
  std::vector<std::byte*> places;
  const auto step = [&] {
    places.clear();
    std::vector<Tensor> alive;
    for (const std::int64_t n : {3, 5000, 17, 17, 400, 3}) {
      alive.push_back(Tensor::empty({n}, DType::kFloat32));
      places.push_back(alive.back().raw_data());
      if (n == 17) alive.pop_back();
    }
    std::reverse(alive.begin(), alive.end());
  };
  step();
  step();
  const auto before = Pool::cpu().stats();
  const auto former = places;
  for (int i = 0; i < 4; ++i) step();
  EXPECT_EQ(Pool::cpu().stats().system_allocations, before.system_allocations);
  EXPECT_EQ(Pool::cpu().stats().bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(std::set(places.begin(), places.end()), std::set(former.begin(), former.end()));
}

TEST(Pool, CountsWhatIsInUseAndWhatIsCached) {
  SKIP_WITHOUT_REUSE();
  Pool pool;
  void* block = pool.allocate(65);
  EXPECT_EQ(pool.stats().bytes_in_use, 128U);
  EXPECT_EQ(pool.stats().bytes_cached, 0U);
  EXPECT_EQ(pool.stats().system_allocations, 1U);
  pool.deallocate(block, 65);
  EXPECT_EQ(pool.stats().bytes_in_use, 0U);
  EXPECT_EQ(pool.stats().bytes_cached, 128U);
  pool.release_cached();
  EXPECT_EQ(pool.stats().bytes_cached, 0U);
  pool.deallocate(pool.allocate(65), 65);
  EXPECT_EQ(pool.stats().system_allocations, 2U);
}

TEST(Pool, CountsWhatItHandedOutInAll) {
  SKIP_WITHOUT_REUSE();
  Pool pool;
  for (int i = 1; i <= 5; ++i) {
    pool.deallocate(pool.allocate(100), 100);
    EXPECT_EQ(pool.stats().bytes_handed_out, 128U * static_cast<unsigned>(i));
  }
}

TEST(Pool, WastesAtMostAQuarterOfALargeBlock) {
  SKIP_WITHOUT_REUSE();
  Pool pool;
  for (std::size_t bytes = 1025; bytes < 200000; bytes += bytes / 7) {
    void* block = pool.allocate(bytes);
    EXPECT_GE(pool.stats().bytes_in_use, bytes);
    EXPECT_LE(4 * pool.stats().bytes_in_use, 5 * bytes + 4 * Pool::kAlignment) << bytes;
    pool.deallocate(block, bytes);
  }
}

TEST(Pool, ForgetsAnAllocationThatFailed) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer ends the program instead";
#endif
  SKIP_WITHOUT_REUSE();
  Pool pool;
  EXPECT_THROW(pool.allocate(std::size_t{1} << 60), std::bad_alloc);
  EXPECT_EQ(pool.stats().bytes_in_use, 0U);
}

// The blocks of one step: some of each length that grows with the sequences, and all in use at
// once.
void run_step(Pool& pool, std::size_t length) {
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (const std::size_t bytes : {40 * length, 40 * length, 64 * length, 256 * length}) {
    blocks.emplace_back(pool.allocate(bytes), bytes);
  }
  for (; !blocks.empty(); blocks.pop_back()) {
    pool.deallocate(blocks.back().first, blocks.back().second);
  }
}

TEST(Pool, HoldsAtMostTwiceWhatWasInUseWhileLengthsGrowAndShrink) {
  SKIP_WITHOUT_REUSE();
  Pool pool;
  std::size_t largest = 0, most_held = 0;
  const auto step = [&](std::size_t length) {
    run_step(pool, length);
    largest = std::max(largest, length);
    const Pool::Stats stats = pool.stats();
    most_held = std::max(most_held, stats.bytes_in_use + stats.bytes_cached);
    // 400 bytes for each place, and up to a quarter more for the class.
    EXPECT_LE(stats.bytes_in_use + stats.bytes_cached, 2 * 500 * largest) << length;
    EXPECT_GE(stats.most_bytes_in_use, 400 * largest);
    EXPECT_LE(stats.most_bytes_in_use, 500 * largest);
  };
  for (int round = 0; round < 3; ++round) {
    for (std::size_t length = 1000; length < 200000; length += length / 5) step(length);
    for (std::size_t length = 200000; length > 1000; length -= length / 7) step(length);
  }
  EXPECT_GT(most_held, 400 * largest) << "it caches more than one step needs";
}

TEST(Pool, GivesBackFirstWhatWasUsedLeastRecently) {
  SKIP_WITHOUT_REUSE();
  Pool pool;
  const auto use = [&](std::size_t bytes) {
    const auto before = pool.stats().system_allocations;
    pool.deallocate(pool.allocate(bytes), bytes);
    return pool.stats().system_allocations - before;
  };
  EXPECT_EQ(use(4096), 1U);
  EXPECT_EQ(use(3072), 1U);
  EXPECT_EQ(use(4096), 0U) << "both fit into twice the largest";
  EXPECT_EQ(use(2560), 1U) << "for which the 3072 bytes go back";
  EXPECT_EQ(pool.stats().bytes_cached, 4096U + 2560U);
  EXPECT_EQ(use(4096), 0U);
  EXPECT_EQ(use(2560), 0U);
  EXPECT_EQ(use(3072), 1U);
}

TEST(Pool, GivesAllBackAndAsksAgainWhereTheSystemRefuses) {
  SKIP_WITHOUT_REUSE();
  if (!test::kCanLimitMemory) GTEST_SKIP() << "a sanitizer needs all the memory";
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  Pool pool;
  pool.deallocate(pool.allocate(160 * kMiB), 160 * kMiB);
  EXPECT_EQ(pool.stats().bytes_cached, 160 * kMiB);
  const test::LimitedMemory limited(100 * kMiB);
  void* const block = pool.allocate(224 * kMiB);
  EXPECT_EQ(pool.stats().bytes_cached, 0U);
  EXPECT_EQ(pool.stats().bytes_in_use, 224 * kMiB);
  EXPECT_THROW(pool.allocate(224 * kMiB), std::bad_alloc);
  EXPECT_EQ(pool.stats().bytes_in_use, 224 * kMiB);
  EXPECT_EQ(pool.stats().most_bytes_in_use, 224 * kMiB);
  pool.deallocate(block, 224 * kMiB);
}

TEST(Pool, TakesNothingBack) {
  Pool pool;
  pool.deallocate(nullptr, 10);
  EXPECT_EQ(pool.stats().bytes_cached, 0U);
}

TEST(Pool, ServesSeveralThreads) {
  Pool pool;
  const auto use = [&pool](unsigned char mark) {
    for (int i = 0; i < 2000; ++i) {
      const std::size_t bytes = 1 + static_cast<std::size_t>(i) % 300;
      auto* block = static_cast<unsigned char*>(pool.allocate(bytes));
      std::memset(block, mark, bytes);
      for (std::size_t j = 0; j < bytes; ++j) ASSERT_EQ(block[j], mark);
      pool.deallocate(block, bytes);
    }
  };
  std::thread other(use, 1), third(use, 2);
  use(3);
  other.join();
  third.join();
  EXPECT_EQ(pool.stats().bytes_in_use, 0U);
}

TEST(PoolVector, GrowsLikeAVector) {
  PoolVector<int> numbers;
  for (int i = 0; i < 1000; ++i) numbers.push_back(i);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(numbers[static_cast<std::size_t>(i)], i);
}

}  // namespace
}  // namespace maskgrad
