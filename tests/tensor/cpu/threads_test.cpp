#include "support/threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

#include "support/errors.hpp"
#include "support/limited_memory.hpp"

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
  for (const std::int64_t count : {0, 1, 7, 64, 100, 1000}) {
    for (const std::int64_t least : {0, 1, 3, 64, 5000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      std::atomic<std::int64_t> parts{0};
      parallel_for(count, least, [&](std::int64_t begin, std::int64_t end) {
        ++parts;
        EXPECT_GE(end - begin, std::min(count, std::max<std::int64_t>(1, least)));
        for (; begin < end; ++begin) ++visits[static_cast<std::size_t>(begin)];
      });
      for (const auto& n : visits) EXPECT_EQ(n, 1) << count << " by " << least;
      EXPECT_EQ(parts, count ? parts_of(count, least) : 0) << count << " by " << least;
    }
  }
}

// Where the parts of [0, count) end that a loop over it is cut into.
std::vector<std::int64_t> ends_of_parts(std::int64_t count, std::int64_t parts) {
  const WithThreads one(1);
  std::vector<std::int64_t> ends;
  parallel_for_parts(count, parts, [&](std::int64_t, std::int64_t end) { ends.push_back(end); });
  return ends;
}

TEST(Parts, AreAsEqualAsTheyCanBe) {
  for (const std::int64_t count : {1, 5, 100, 2001}) {
    for (const std::int64_t parts : {1, 2, 7, 12, 4000}) {
      const std::vector<std::int64_t> ends = ends_of_parts(count, parts);
      ASSERT_EQ(std::ssize(ends), std::min(count, parts));
      EXPECT_EQ(ends.back(), count);
      std::int64_t begin = 0, least = count, most = 0;
      for (const std::int64_t end : ends) {
        least = std::min(least, end - begin);
        most = std::max(most, end - begin);
        begin = end;
      }
      EXPECT_LE(most - least, 1) << count << " in " << parts;
      EXPECT_GE(least, 1) << count << " in " << parts;
    }
  }
}

// Whatever a thing costs, two, three or four threads part at the same places.
TEST(Parts, MeetAtHalvesThirdsAndQuarters) {
  for (const std::int64_t least : {2, 3, 7, 50, 83, 300, 1000}) {
    const std::int64_t parts = parts_of(1200, least);
    if (parts == 1) continue;
    const std::vector<std::int64_t> ends = ends_of_parts(1200, parts);
    const auto meets_at = [&](std::int64_t place) {
      return std::find(ends.begin(), ends.end(), place) != ends.end();
    };
    EXPECT_TRUE(meets_at(600)) << least;
    EXPECT_TRUE(parts < 4 || (meets_at(300) && meets_at(900))) << least;
    EXPECT_TRUE(parts < 12 || (meets_at(400) && meets_at(800))) << least;
  }
}

TEST(Parts, AreOneTwoFourEightOrAMultipleOfTwelve) {
  const std::vector<std::pair<std::int64_t, std::int64_t>> expected = {
      {1201, 1}, {601, 1}, {600, 2}, {400, 2},  {301, 2}, {300, 4}, {220, 4}, {151, 4},
      {150, 8},  {110, 8}, {101, 8}, {100, 12}, {51, 12}, {50, 24}, {2, 600}};
  for (const auto& [least, parts] : expected) EXPECT_EQ(parts_of(1200, least), parts) << least;
  EXPECT_EQ(parts_of(std::int64_t{1} << 62, 1), 12 << 20);
  EXPECT_EQ(parts_of(std::int64_t{1} << 62, 2), 12 << 20);
  EXPECT_EQ(parts_of(7, 1), 7);
  EXPECT_EQ(parts_of(0, 1), 0);
}

// A sum that rounds, in parts: the same bits whoever computes them.
float sum_of_parts() {
  std::vector<float> sums(40);
  parallel_for(40, 1, [&](std::int64_t part, std::int64_t) {
    float sum = 0;
    for (std::int64_t i = part * 25; i < (part + 1) * 25; ++i)
      sum += 1.0f / static_cast<float>(i + 1);
    sums[static_cast<std::size_t>(part)] = sum;
  });
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

TEST_P(Threads, GiveTheBitsOfOneThread) {
  const float here = sum_of_parts();
  const WithThreads one(1);
  EXPECT_EQ(here, sum_of_parts());
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

// Every part waits for all the others, so each needs a thread of its own; if one does not come,
// this never ends.
void meet(int parts) {
  std::atomic<int> arrived{0};
  parallel_for(parts, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < parts) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, parts);
}

TEST(ThreadCount, IsAtLeastOneAndNotTooLarge) {
  EXPECT_EQ(error_of([] { set_num_threads(0); }), "[threads] the number must be 1 to 1024, not 0");
  EXPECT_EQ(error_of([] { set_num_threads(1025); }),
            "[threads] the number must be 1 to 1024, not 1025");
  EXPECT_EQ(num_threads(), 1);
}

TEST(ThreadCount, StaysWhenTheSystemStartsNoMoreThreads) {
  if (!test::kCanLimitMemory) GTEST_SKIP() << "a sanitizer needs all the memory";
  for (const int former : {1, 2}) {
    const WithThreads threads(former);
    {
      const test::LimitedMemory limited(rlim_t{256} << 20);  // a thread's stack takes 8 MiB
      EXPECT_THAT(error_of([] { set_num_threads(1024); }),
                  ::testing::StartsWith("[threads] cannot start 1024 threads: "));
      EXPECT_EQ(num_threads(), former);
      meet(former);
    }
    set_num_threads(3);
    meet(3);
  }
}

TEST(ThreadCount, DoesNotChangeWhileThreadsWork) {
  const WithThreads two(2);
  EXPECT_EQ(
      error_of([] { parallel_for(8, 1, [](std::int64_t, std::int64_t) { set_num_threads(3); }); }),
      "[threads] the number cannot change within parallel_for");
  EXPECT_EQ(num_threads(), 2);
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

TEST(LeastFor, HoldsAboutTheSameWork) {
  EXPECT_EQ(least_for(0), 32768);
  EXPECT_EQ(least_for(1), 32768);
  EXPECT_EQ(least_for(100), 327);
  EXPECT_EQ(least_for(std::int64_t{1} << 40), 1);
}

}  // namespace
}  // namespace maskgrad
