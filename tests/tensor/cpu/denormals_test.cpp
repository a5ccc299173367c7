#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include <maskgrad/tensor/cpu/denormals.hpp>

namespace maskgrad {
namespace {

// volatile: computed when the test runs, under the mode of that moment.
bool denormals_are_written() {
  volatile float smallest = std::numeric_limits<float>::min();
  volatile float half = smallest / 2;
  return half != 0;
}

bool denormals_are_read() {
  volatile double denormal = std::numeric_limits<double>::denorm_min();
  return denormal * 0x1p1000 != 0;
}

class Denormals : public ::testing::Test {
 protected:
  void SetUp() override {
#if !defined(__SSE__)
    GTEST_SKIP() << "one mode only";
#endif
  }
};

TEST_F(Denormals, AreKeptAtFirst) {
  EXPECT_TRUE(denormals_are_written());
  EXPECT_TRUE(denormals_are_read());
}

TEST_F(Denormals, AreZeroWhileFlushed) {
  {
    const FlushDenormals flush;
    EXPECT_FALSE(denormals_are_written());
    EXPECT_FALSE(denormals_are_read());
    {
      const FlushDenormals again;
      EXPECT_FALSE(denormals_are_written());
    }
    EXPECT_FALSE(denormals_are_written());
  }
  EXPECT_TRUE(denormals_are_written());
  EXPECT_TRUE(denormals_are_read());
}

TEST_F(Denormals, AreTheBusinessOfOneThread) {
  std::thread([] {
    const FlushDenormals flush;
    EXPECT_FALSE(denormals_are_written());
  }).join();
  EXPECT_TRUE(denormals_are_written());
}

TEST_F(Denormals, LeaveNormalNumbersAlone) {
  const FlushDenormals flush;
  volatile float x = std::numeric_limits<float>::min();
  EXPECT_EQ(x * 3.0f, 3.0f * std::numeric_limits<float>::min());
  volatile float third = 1.0f / 3.0f;
  EXPECT_EQ(third * 3.0f, 1.0f);
}

}  // namespace
}  // namespace maskgrad
