// What only an emulated device tells of steps: when work starts, how often is copied, and what
// kernels do that they must not.
#include <cstdlib>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/step_model.hpp"
#include "cuda/test_kernels.hpp"
#include "emulation/device.hpp"
#include "emulation/emulator.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;
using test::StepModel;
using test::to_doubles;
using ::testing::Each;
using ::testing::HasSubstr;

void take_steps(StepModel& model, int count) {
  for (int i = 0; i < count; ++i) model.step({.rows = 5, .number = i});
  cuda::synchronize();
}

// Copies from the host within a call.
template <class F>
std::uint64_t uploads_of(F call) {
  const std::uint64_t before = emulation::counters().uploads;
  call();
  return emulation::counters().uploads - before;
}

// Inputs, rate and number.
TEST(EmulatedStep, TakesAllThatItGetsFromTheHostInOneCopy) {
  StepModel model;
  take_steps(model, 4);
  EXPECT_EQ(uploads_of([&] { take_steps(model, 3); }), 3U);
  const SequenceMask mask(test::bits({1, 0, 1, 1}, {2, 2}));
  const auto step = [&](bool has_new_mask) {
    Tensor x = Tensor::zeros({2, 2}, DType::kFloat32, kCuda);
    DeviceStep on_device(kCuda);
    x.copy_from(Tensor::full({2, 2}, 3, DType::kFloat32));
    fill_holes(x, has_new_mask ? SequenceMask(test::bits({0, 1, 1, 1}, {2, 2})) : mask, 7);
    on_device.end();
    cuda::synchronize();
  };
  for (int i = 0; i < 3; ++i) step(true), step(false);
  EXPECT_EQ(uploads_of([&] { step(true); }), 1U);
  EXPECT_EQ(uploads_of([&] { step(false); }), 1U);
}

TEST(EmulatedStep, StartsAtItsEnd) {
  Tensor x = Tensor::zeros({4}, DType::kFloat32, kCuda);
  for (int i = 0; i < 4; ++i) {
    cuda::synchronize();
    const std::uint64_t eager = device_counts().eager;
    DeviceStep step(kCuda);
    x.fill(5);
    x.copy_from(x.clone());
    const std::size_t before_end = emulation::waiting();
    step.end();
    EXPECT_EQ(before_end == 0, device_counts().eager == eager);
    EXPECT_GT(emulation::waiting(), 0U);
  }
  EXPECT_THAT(to_doubles(x.to(Device{})), Each(5));
}

// The host may be ahead, but not by more steps than there are buffers.
TEST(EmulatedStep, WaitsForTheStepThreeBefore) {
  StepModel model;
  cuda::synchronize();
  std::vector<std::uint64_t> launches;
  for (int i = 0; i < 5; ++i) {
    launches.push_back(emulation::counters().launches);
    DeviceStep step(kCuda);
    model.forget_what_was_not_finite();
    step.end();
  }
  EXPECT_EQ(launches[3], launches[0]);
  EXPECT_EQ(launches[4], launches[0] + 1);
}

TEST(EmulatedStep, FindsKernelsThatReadWhatWasGivenBack) {
  if (!emulation::sees_accesses()) GTEST_SKIP() << "needs kernels whose accesses are seen";
  Tensor y = Tensor::zeros({32}, DType::kFloat32, kCuda);
  const auto error_of_step = [&](bool in_time) {
    return error_of([&] {
      DeviceStep step(kCuda);
      const float* freed = nullptr;
      {
        const Tensor x = Tensor::full({32}, 1, DType::kFloat32, kCuda);
        freed = x.device_data<float>();
        if (in_time) test::copy(freed, y.device_data<float>(), 32);
      }
      if (!in_time) test::copy(freed, y.device_data<float>(), 32);
      step.end();
      cuda::synchronize();
    });
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(error_of_step(true), "no error");
  EXPECT_THAT(error_of_step(false), HasSubstr("reads outside of what it was given"));
  EXPECT_EQ(error_of_step(true), "no error");
}

// A launch that no device takes is an error at the end of the step, and the next one is right.
TEST(EmulatedStep, NamesTheKernelThatDoesNotStart) {
  Tensor x = Tensor::zeros({128}, DType::kFloat32, kCuda), y = x.clone();
  const auto step = [&](unsigned threads) {
    return error_of([&] {
      DeviceStep on_device(kCuda);
      x.fill(threads);
      test::copy(std::as_const(x).device_data<float>(), y.device_data<float>(), threads);
      on_device.end();
    });
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(step(128), "no error");
    EXPECT_THAT(to_doubles(y.to(Device{})), Each(128));
    EXPECT_EQ(step(2048), "[copy] cuda: invalid configuration argument");
  }
}

// A mask that was uploaded within it lives longer, and has its bits.
TEST(EmulatedStep, UploadsWhatItGotWhereTheRestIsRefused) {
  Tensor x = Tensor::zeros({4}, DType::kFloat32, kCuda), y = x.clone();
  for (int i = 0; i < 4; ++i) {
    Tensor there;
    const std::string error = error_of([&] {
      DeviceStep step(kCuda);
      there = Tensor::full({4}, i, DType::kFloat32).to(kCuda);
      test::copy(std::as_const(x).device_data<float>(), y.device_data<float>(), 2048);
      step.end();
    });
    EXPECT_EQ(error, "[copy] cuda: invalid configuration argument");
    EXPECT_THAT(to_doubles(there.to(Device{})), Each(i));
  }
}

// Each in a process of its own, as the variable is read once.
[[noreturn]] void launch_and_exit() {
  Tensor x = Tensor::zeros({128}, DType::kFloat32, kCuda);
  test::copy(std::as_const(x).device_data<float>(), x.device_data<float>(), 1);
  for (int i = 0; i < 3; ++i) {
    DeviceStep step(kCuda);
    x.fill(1);
    if (emulation::waiting() > 0) std::_Exit(1);
    step.end();
  }
  std::_Exit(device_counts().eager == 3 ? 0 : 2);
}

TEST(EmulatedStepDeathTest, WaitsForEachLaunchWhereTheEnvironmentSaysSo) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  ::setenv("MASKGRAD_CUDA_SYNC", "1", 1);
  EXPECT_EXIT(launch_and_exit(), ::testing::ExitedWithCode(0), "");
  ::unsetenv("MASKGRAD_CUDA_SYNC");
}

[[noreturn]] void choose_and_exit() {
  for (const char* name : {"cuda", "auto"}) {
    const std::string error = error_of([&] { choose_device(name); });
    if (error != "[device] MASKGRAD_CUDA_SYNC must be 0 or 1, not 'yes'") std::_Exit(1);
  }
  std::_Exit(choose_device("cpu") == Device{} ? 0 : 2);
}

// It is no reason to take the CPU.
TEST(EmulatedStepDeathTest, RefusesAnotherValueOfTheEnvironment) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  ::setenv("MASKGRAD_CUDA_SYNC", "yes", 1);
  EXPECT_EXIT(choose_and_exit(), ::testing::ExitedWithCode(0), "");
  ::unsetenv("MASKGRAD_CUDA_SYNC");
}

}  // namespace
}  // namespace maskgrad
