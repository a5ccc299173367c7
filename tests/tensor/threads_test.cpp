#include "support/threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::WithThreads;

class Threads : public ::testing::TestWithParam<int> {
  WithThreads threads_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(OneTwoThree, Threads, ::testing::Values(1, 2, 3));

TEST_P(Threads, VisitEveryIndexOnce) {
  EXPECT_EQ(num_threads(), GetParam());
  for (const std::int64_t count : {0, 1, 7, 64, 1000}) {
    for (const std::int64_t chunk : {1, 3, 64, 5000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      parallel_for(count, chunk, [&](std::int64_t begin, std::int64_t end) {
        EXPECT_EQ(begin % chunk, 0);
        EXPECT_EQ(end, std::min(begin + chunk, count));
        for (; begin < end; ++begin) ++visits[static_cast<std::size_t>(begin)];
      });
      for (const auto& n : visits) EXPECT_EQ(n, 1) << count << " by " << chunk;
    }
  }
}

// A sum that rounds, in chunks: the same bits whoever computes them.
float chunked_sum() {
  std::vector<float> parts(40);
  parallel_for(40 * 25, 25, [&](std::int64_t begin, std::int64_t end) {
    float sum = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += 1.0f / static_cast<float>(i + 1);
    parts[static_cast<std::size_t>(begin / 25)] = sum;
  });
  float total = 0;
  for (const float part : parts) total += part;
  return total;
}

TEST_P(Threads, GiveTheBitsOfOneThread) {
  const float here = chunked_sum();
  const WithThreads one(1);
  EXPECT_EQ(here, chunked_sum());
}

TEST_P(Threads, RunANestedLoopWhereItIsCalled) {
  std::atomic<int> visits{0}, moved{0};
  parallel_for(20, 1, [&](std::int64_t, std::int64_t) {
    const auto here = std::this_thread::get_id();
    parallel_for(10, 1, [&](std::int64_t, std::int64_t) {
      ++visits;
      if (GetParam() > 1 && std::this_thread::get_id() != here) ++moved;
    });
  });
  EXPECT_EQ(visits, 200);
  EXPECT_EQ(moved, 0);
}

TEST_P(Threads, PassOnAnExceptionAndWorkAfterIt) {
  std::atomic<int> after{0};
  EXPECT_THROW(parallel_for(100, 1,
                            [&](std::int64_t i, std::int64_t) {
                              if (i == 37) throw std::domain_error("37");
                            }),
               std::domain_error);
  parallel_for(100, 1, [&](std::int64_t, std::int64_t) { ++after; });
  EXPECT_EQ(after, 100);
}

TEST_P(Threads, PassOnAnExceptionOfANestedLoop) {
  const auto nested = [] {
    parallel_for(8, 1, [](std::int64_t, std::int64_t) {
      parallel_for(8, 1, [](std::int64_t i, std::int64_t) { check(i != 3, "inner", "at {}", i); });
    });
  };
  EXPECT_EQ(error_of(nested), "[inner] at 3");
}

TEST_P(Threads, TreatDenormalsAsTheirCallerDoes) {
#if !defined(__SSE__)
  GTEST_SKIP() << "one mode only";
#endif
  const auto halves_that_vanish = [] {
    std::atomic<int> vanished{0};
    parallel_for(64, 1, [&](std::int64_t, std::int64_t) {
      volatile float smallest = 1.17549435e-38f;  // the smallest normal number
      vanished += smallest / 2 == 0;
      std::this_thread::yield();
    });
    return vanished.load();
  };
  EXPECT_EQ(halves_that_vanish(), 0);
  {
    const FlushDenormals flush;
    EXPECT_EQ(halves_that_vanish(), 64);
  }
  EXPECT_EQ(halves_that_vanish(), 0);
}

TEST_P(Threads, ServeSeveralCallersInTurn) {
  std::atomic<std::int64_t> total{0};
  const auto use = [&] {
    for (int i = 0; i < 50; ++i) {
      parallel_for(30, 2, [&](std::int64_t begin, std::int64_t end) { total += end - begin; });
    }
  };
  std::thread other(use);
  use();
  other.join();
  EXPECT_EQ(total, 2 * 50 * 30);
}

// Every chunk waits for all the others, so each needs a thread of its own; if one does not come,
// this never ends.
void meet(int chunks) {
  std::atomic<int> arrived{0};
  parallel_for(chunks, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < chunks) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, chunks);
}

TEST(ThreadCount, IsAtLeastOneAndNotTooLarge) {
  EXPECT_EQ(error_of([] { set_num_threads(0); }), "[threads] the number must be 1 to 1024, not 0");
  EXPECT_EQ(error_of([] { set_num_threads(1025); }),
            "[threads] the number must be 1 to 1024, not 1025");
  EXPECT_EQ(num_threads(), 1);
}

TEST(ThreadCount, IsHowManyWorkSideBySide) {
  const WithThreads two(2);
  meet(2);
}

// The pauses pass over the moment at which an idle thread goes to sleep.
TEST(IdleThreads, ComeWheneverTheyAreCalledAsleepOrAwake) {
  const WithThreads two(2);
  for (int round = 0; round < 4; ++round) {
    for (int pause = 0; pause < 400; pause += 2) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(pause);
      while (std::chrono::steady_clock::now() < end) {
      }
      meet(2);
    }
  }
}

TEST(IdleThreads, ComeWhenThereAreMoreOfThemThanProcessors) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const WithThreads many(std::min(2 * cores + 1, 1024));
  for (int round = 0; round < 30; ++round) meet(num_threads());
}

TEST(IdleThreads, TakeNoProcessorTimeForLong) {
  const WithThreads three(3);
  meet(3);
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.1);
}

TEST(ChunkFor, HoldsAboutTheSameWork) {
  EXPECT_EQ(chunk_for(0), 32768);
  EXPECT_EQ(chunk_for(1), 32768);
  EXPECT_EQ(chunk_for(100), 327);
  EXPECT_EQ(chunk_for(std::int64_t{1} << 40), 1);
}

}  // namespace
}  // namespace maskgrad
