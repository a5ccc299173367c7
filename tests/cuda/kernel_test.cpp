// How kernels are started, and what their threads do together.
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/runtime.hpp>

#include "cuda/on_cuda.hpp"
#include "cuda/test_kernels.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

class CudaKernels : public ::testing::Test {
 protected:
  // y after `start` was given the numbers 1 .. 128.
  template <class F>
  std::vector<double> run(F start) const {
    std::vector<double> numbers(128);
    std::iota(numbers.begin(), numbers.end(), 1);
    const Tensor x = test::make(numbers, {128}, DType::kFloat32).to(kCuda);
    Tensor y = Tensor::zeros({128}, DType::kFloat32, kCuda);
    start(x.device_data<float>(), y.device_data<float>());
    return test::to_doubles(y.to(Device{}));
  }
};

TEST_F(CudaKernels, ShareTheMemoryOfABlock) {
  const auto y = run([](const float* x, float* to) { test::reverse(x, to, true); });
  for (int i = 0; i < 128; ++i) EXPECT_EQ(y[static_cast<std::size_t>(i)], 128 - i);
}

TEST_F(CudaKernels, ShareTheMemoryOfAWarp) {
  const auto y = run([](const float* x, float* to) { test::swap_neighbours(x, to, true); });
  for (int i = 0; i < 32; ++i) EXPECT_EQ(y[static_cast<std::size_t>(i)], (i ^ 1) + 1);
}

TEST_F(CudaKernels, AddWhatTheLanesOfAWarpHold) {
  const auto y = run(test::sum_of_warp);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(y[static_cast<std::size_t>(i)], 32 * 33 / 2);
}

TEST_F(CudaKernels, AreNamedWhereTheDeviceDoesNotStartThem) {
  EXPECT_EQ(test::error_of([&] { run([](const float* x, float* y) { test::copy(x, y, 2048); }); }),
            "[copy] cuda: invalid configuration argument");
  // The device goes on.
  EXPECT_EQ(run([](const float* x, float* y) { test::copy(x, y, 128); })[127], 128);
}

// What the first sums left in shared memory is read before the second ones write there.
TEST(Kernel, ReducesColumnsTwice) {
  for (const std::int64_t rows : {3, 40, 700}) {
    constexpr std::int64_t kColumns = 5000;  // so many that long ones are shared out, too
    Random random(3);
    const Tensor x = test::uniform(random, {rows, kColumns}).to(DType::kFloat32);
    test::in_each_order([&] {
      const Tensor there = x.to(kCuda);
      Tensor sums = Tensor::empty({kColumns}, DType::kFloat32, kCuda), squares = sums.clone();
      test::sums_of_columns(there.device_data<float>(), rows, kColumns, sums.device_data<float>(),
                            squares.device_data<float>());
      const std::vector<double> got = test::to_doubles(sums.to(Device{})),
                                spread = test::to_doubles(squares.to(Device{}));
      for (std::size_t c = 0; c < got.size(); c += 37) {
        double sum = 0, square = 0;
        for (std::int64_t r = 0; r < rows; ++r) {
          const double value = x[r][static_cast<std::int64_t>(c)].item();
          sum += value;
          square += (value - got[c]) * (value - got[c]);
        }
        EXPECT_NEAR(got[c], sum, 1e-4) << c;
        EXPECT_NEAR(spread[c], square, 1e-4 * (1 + square)) << c;
      }
    });
  }
}

}  // namespace
}  // namespace maskgrad
