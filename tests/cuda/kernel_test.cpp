// How kernels are started, and what their threads do together.
#include <algorithm>
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

TEST_F(CudaKernels, ShareMoreMemoryThanKernelsDeclare) {
  const auto reverse = [](const Tensor& x, Tensor& y) {
    test::reverse_in_dynamic_shared(x.device_data<float>(), y.device_data<float>(),
                                    static_cast<std::size_t>(x.numel()));
  };
  for (const std::int64_t count : {1, 1000, 12'288, 12'289, 40'000}) {  // up to 160 KB
    std::vector<double> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 1);
    const Tensor x = test::make(numbers, {count}, DType::kFloat32);
    Tensor y = Tensor::zeros({count}, DType::kFloat32, kCuda);
    reverse(x.to(kCuda), y);
    std::reverse(numbers.begin(), numbers.end());
    EXPECT_EQ(test::to_doubles(y.to(Device{})), numbers);
  }
  Tensor x = Tensor::zeros({100'000}, DType::kFloat32, kCuda);
  EXPECT_EQ(test::error_of([&] { reverse(x, x); }), "[reverse_any] cuda: invalid argument");
}

TEST_F(CudaKernels, AreNamedWhereTheDeviceDoesNotStartThem) {
  EXPECT_EQ(test::error_of([&] { run([](const float* x, float* y) { test::copy(x, y, 2048); }); }),
            "[copy] cuda: invalid configuration argument");
  // The device goes on.
  EXPECT_EQ(run([](const float* x, float* y) { test::copy(x, y, 128); })[127], 128);
}

}  // namespace
}  // namespace maskgrad
