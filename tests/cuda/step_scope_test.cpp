// Which work belongs to a step, and which steps are the same.
#include <thread>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/runtime.hpp>

#include "cuda/device_steps.hpp"
#include "cuda/test_kernels.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::DeviceSteps;
using test::kCuda;
using test::Since;
using test::to_doubles;
using ::testing::Each;

// The same arguments for another kernel, and only the first part of an earlier step.
TEST_F(DeviceSteps, AreComparedByKernelAndToTheirEnd) {
  const Tensor x = Tensor::full({32}, 2, DType::kFloat32, kCuda);
  Tensor y = Tensor::zeros({32}, DType::kFloat32, kCuda), z = y.clone();
  const auto step = [&](bool sums, bool copies) {
    DeviceStep on_device(kCuda);
    if (sums) {
      test::sum_of_warp(x.device_data<float>(), y.device_data<float>());
    } else {
      test::copy(x.device_data<float>(), y.device_data<float>(), 32);
    }
    if (copies) z.copy_from(y);
    on_device.end();
  };
  for (int i = 0; i < 3; ++i) {
    step(true, true);
    EXPECT_THAT(to_doubles(z.to(Device{})), Each(64));
    step(false, false);
    EXPECT_THAT(to_doubles(y.to(Device{})), Each(2));
    EXPECT_THAT(to_doubles(z.to(Device{})), Each(64));
    step(false, true);
    EXPECT_THAT(to_doubles(z.to(Device{})), Each(2));
    step(true, false);
    EXPECT_THAT(to_doubles(z.to(Device{})), Each(2));
  }
}

TEST_F(DeviceSteps, RunWhatWasGivenBeforeAnException) {
  Tensor x = Tensor::zeros({3}, DType::kFloat32, kCuda);
  const auto fail_within = [&](double value) {
    DeviceStep step(kCuda);
    x.fill(value);
    throw std::runtime_error("from the host");
  };
  for (int i = 1; i < 6; ++i) {
    EXPECT_THROW(fail_within(i), std::runtime_error);
    EXPECT_THAT(to_doubles(x.to(Device{})), Each(i));
  }
  Since since;  // the next ones are recorded as before
  {
    DeviceStep step(kCuda);
    x.fill(7);
    step.end();
  }
  EXPECT_EQ(since().eager, 0U);
}

TEST_F(DeviceSteps, AreNoneOnTheCpuNorWithinAnother) {
  Since since;
  {
    DeviceStep step(Device{});
    step.end();
  }
  Tensor x = Tensor::zeros({3}, DType::kFloat32, kCuda);
  {
    DeviceStep outer(kCuda);
    {
      DeviceStep inner(kCuda);
      x.fill(1);
      inner.end();
    }
    x.fill(2);
    outer.end();
    outer.end();
  }
  const DeviceCounts counts = since();
  EXPECT_EQ(counts.eager + counts.recorded + counts.replayed + counts.broken, 1U);
  EXPECT_THAT(to_doubles(x.to(Device{})), Each(2));
}

TEST_F(DeviceSteps, TakeWorkFromOtherThreads) {
  Tensor x = Tensor::zeros({3}, DType::kFloat32, kCuda), y = x.clone();
  for (int i = 1; i < 6; ++i) {
    DeviceStep step(kCuda);
    x.fill(i);
    std::jthread([&] { y.copy_from(x); }).join();
    x.fill(-i);
    step.end();
    EXPECT_THAT(to_doubles(y.to(Device{})), Each(i));
    EXPECT_THAT(to_doubles(x.to(Device{})), Each(-i));
  }
}

TEST_F(DeviceSteps, ThatGiveNothingAreFine) {
  for (int i = 0; i < 4; ++i) {
    DeviceStep step(kCuda);
    step.end();
  }
  cuda::synchronize();
}

}  // namespace
}  // namespace maskgrad
