// The emulated device finds what is wrong with kernels, and nothing in what is right.
#include "emulation/emulator.hpp"

#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/tensor.hpp>

#include "cuda/emulated/wrong_kernels.hpp"
#include "cuda/on_cuda.hpp"
#include "cuda/test_kernels.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsNan;

Tensor numbers(std::int64_t count) {
  Tensor x = Tensor::empty({count}, DType::kFloat32);
  std::iota(x.data<float>(), x.data<float>() + count, 1.0f);
  return x.to(kCuda);
}

// The error with which the work ends that `start` gives the device.
template <class F>
std::string error_after(F start) {
  return error_of([&] {
    start();
    cuda::synchronize();
  });
}

// Whether kernels leave other bits in y when their threads run in another order.
template <class F>
bool depends_on_order(Tensor& y, F start) {
  std::vector<Tensor> results;
  test::in_each_order([&] {
    start();
    results.push_back(y.to(Device{}));
  });
  return !is_identical(results[0], results[1]) || !is_identical(results[0], results[2]);
}

class Emulator : public ::testing::Test {
 protected:
  const Tensor x = numbers(128);
  Tensor y = Tensor::zeros({128}, DType::kFloat32, kCuda);
  const float* from = x.device_data<float>();
  float* to = y.device_data<float>();
};

TEST_F(Emulator, RunsWhatIsRight) {
  const auto reverse = [&] { test::reverse(from, to, true); };
  EXPECT_FALSE(depends_on_order(y, reverse));
  EXPECT_EQ(y[0].item(), 128);
  EXPECT_EQ(y[127].item(), 1);
  const auto swap = [&] { test::swap_neighbours(from, to, true); };
  EXPECT_FALSE(depends_on_order(y, swap));
  EXPECT_EQ(y[0].item(), 2);
}

TEST_F(Emulator, FindsAMissingBarrierOfABlock) {
  const auto reverse = [&] { test::reverse(from, to, false); };
  if (emulation::sees_accesses()) {
    EXPECT_THAT(error_after(reverse), HasSubstr("[reverse] block (0, 0, 0): race: "));
  } else {
    EXPECT_TRUE(depends_on_order(y, reverse));
  }
}

TEST_F(Emulator, FindsAMissingBarrierOfAWarp) {
  const auto swap = [&] { test::swap_neighbours(from, to, false); };
  if (emulation::sees_accesses()) {
    EXPECT_THAT(error_after(swap), HasSubstr("of shared memory"));
  } else {
    EXPECT_TRUE(depends_on_order(y, swap));
  }
}

TEST_F(Emulator, FindsTwoBlocksThatWriteOnePlace) {
  const auto write = [&] { test::write_one_place(to); };
  if (emulation::sees_accesses()) {
    EXPECT_THAT(error_after(write), HasSubstr("race: two writes of global memory"));
  } else {
    EXPECT_TRUE(depends_on_order(y, write));
  }
}

TEST_F(Emulator, FindsAWriteOfWhatOthersRead) {
  if (!emulation::sees_accesses()) GTEST_SKIP() << "needs kernels whose accesses are seen";
  EXPECT_THAT(error_after([&] { test::read_what_one_writes(to); }), HasSubstr("race: "));
}

TEST_F(Emulator, FindsAPointerToTheHost) {
  if (!emulation::sees_accesses()) GTEST_SKIP() << "needs kernels whose accesses are seen";
  std::vector<float> host(128);
  EXPECT_EQ(error_after([&] { test::copy(host.data(), to, 128); }),
            "[copy] block (0, 0, 0): a kernel reads the host's memory");
  EXPECT_EQ(error_after([&] { test::copy(from, host.data(), 128); }),
            "[copy] block (0, 0, 0): a kernel writes to the host's memory");
}

TEST_F(Emulator, FindsAccessesOutOfBounds) {
  if (!emulation::sees_accesses()) GTEST_SKIP() << "needs kernels whose accesses are seen";
  EXPECT_EQ(error_after([&] { test::copy(from, to, 129); }),
            "[copy] block (0, 0, 0): thread 128 reads outside of what it was given");
  float* freed = nullptr;
  {
    Tensor gone = Tensor::zeros({128}, DType::kFloat32, kCuda);
    freed = gone.device_data<float>();
  }
  EXPECT_EQ(error_after([&] { test::copy(from, freed, 1); }),
            "[copy] block (0, 0, 0): thread 0 writes outside of what it was given");
}

TEST_F(Emulator, RefusesABlockThatIsTooLarge) {
  EXPECT_EQ(error_after([&] { test::copy(from, to, 2048); }),
            "[copy] cuda: invalid configuration argument");
  EXPECT_EQ(error_after([&] { test::take_too_much(to); }),
            "[too_much] block (0, 0, 0): takes more than 48 KiB of shared memory");
}

TEST_F(Emulator, GivesNaNForSharedMemoryThatNobodyWrote) {
  test::read_unwritten(to);
  EXPECT_THAT(y.view(0, {32}).to(Device{}).values<float>(), Each(IsNan()));
}

TEST_F(Emulator, FindsThreadsThatWaitForEver) {
  EXPECT_THAT(error_after([&] { test::wait_at_two_places(to); }),
              HasSubstr("threads wait at different barriers: wrong_kernels.cu:"));
  EXPECT_THAT(error_after([&] { test::shuffle_with_absent_lanes(to); }),
              HasSubstr("16 threads wait for ever at warp.hpp:"));
}

TEST_F(Emulator, GoesOnAfterAnError) {
  EXPECT_NE(error_after([&] { test::wait_at_two_places(to); }), "no error");
  test::reverse(from, to, true);
  EXPECT_EQ(y[0].item(), 128);
}

TEST_F(Emulator, HoldsWorkBackUntilSomebodyWaits) {
  cuda::synchronize();
  const std::uint64_t before = emulation::counters().launches;
  test::reverse(from, to, true);
  EXPECT_EQ(emulation::counters().launches, before);
  cuda::synchronize();
  EXPECT_EQ(emulation::counters().launches, before + 1);
}

}  // namespace
}  // namespace maskgrad
