// What the host gives the device within steps is there when the device needs it, and stays.
#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/on_cuda.hpp"
#include "cuda/test_kernels.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::to_doubles;
using ::testing::Each;
using ::testing::ElementsAre;

// The host takes steps without a wait, more than buffers for what they upload.
TEST(Uploads, AreThoseOfTheirStepHoweverFarTheHostIsAhead) {
  Tensor y = Tensor::zeros({12}, DType::kFloat32, kCuda);
  for (std::int32_t i = 0; i < 12; ++i) {
    DeviceStep step(kCuda);
    test::put_uploaded(y.device_data<float>(), i, static_cast<float>(i) + 0.5f);
    step.end();
  }
  const std::vector<double> got = to_doubles(y.to(Device{}));
  for (int i = 0; i < 12; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i + 0.5);
}

TEST(Uploads, OutsideOfStepsAreRightToo) {
  Tensor y = Tensor::zeros({5}, DType::kFloat32, kCuda);
  for (std::int32_t i = 0; i < 5; ++i)
    test::put_uploaded(y.device_data<float>(), i, static_cast<float>(i));
  EXPECT_THAT(to_doubles(y.to(Device{})), ElementsAre(0, 1, 2, 3, 4));
}

// A tensor that is there already gets its new values in the order of the step.
TEST(Uploads, IntoATensorComeInTheOrderOfTheStep) {
  Tensor x = Tensor::zeros({3}, DType::kFloat32, kCuda);
  for (int i = 0; i < 5; ++i) {
    DeviceStep step(kCuda);
    const Tensor before = x.clone();
    x.copy_from(Tensor::full({3}, 10 + i, DType::kFloat32));
    const Tensor between = x.clone();
    x.copy_from(Tensor::full({3}, 20 + i, DType::kFloat32));
    step.end();
    EXPECT_THAT(to_doubles(before.to(Device{})), Each(i == 0 ? 0 : 19 + i));
    EXPECT_THAT(to_doubles(between.to(Device{})), Each(10 + i));
    EXPECT_THAT(to_doubles(x.to(Device{})), Each(20 + i));
  }
}

// What a step uploads is there before its first kernel, and so must not lie where one that runs
// before still reads.
TEST(Uploads, LieWhereNoKernelOfTheStepStillReads) {
  for (int i = 0; i < 6; ++i) {
    Tensor x = Tensor::zeros({2, 2}, DType::kFloat32, kCuda), y = x.clone();
    DeviceStep step(kCuda);
    {
      const Tensor first = Tensor::full({2, 2}, 1 + i, DType::kFloat32).to(kCuda);
      x.copy_from(first);
      fill_holes(x, SequenceMask(test::bits({1, 0, 0, 1}, {2, 2})), -1);
    }
    {
      const Tensor second = Tensor::full({2, 2}, 7 + i, DType::kFloat32).to(kCuda);
      y.copy_from(second);
      fill_holes(y, SequenceMask(test::bits({0, 1, 1, 0}, {2, 2})), -2);
    }
    step.end();
    EXPECT_THAT(to_doubles(x.to(Device{})), ElementsAre(1 + i, -1, -1, 1 + i));
    EXPECT_THAT(to_doubles(y.to(Device{})), ElementsAre(-2, 7 + i, 7 + i, -2));
  }
}

TEST(Uploads, StayAsLongAsTheirTensor) {
  const auto mask_of = [](int i) {
    return SequenceMask(test::bits({1.0 * (i % 2), 1, 0, 1}, {2, 2}));
  };
  SequenceMask kept = mask_of(0);
  for (int i = 0; i < 12; ++i) {
    Tensor x = Tensor::zeros({2, 2}, DType::kFloat32, kCuda), y = x.clone();
    DeviceStep step(kCuda);
    fill_holes(x, kept, 1);
    if (i % 4 == 3) kept = mask_of(i / 4 + 1);  // the other one goes within the step
    fill_holes(y, kept, 2);
    step.end();
    const int before = i / 4 % 2, after = (i + 1) / 4 % 2;
    EXPECT_THAT(to_doubles(x.to(Device{})), ElementsAre(before ? 0 : 1, 0, 1, 0)) << i;
    EXPECT_THAT(to_doubles(y.to(Device{})), ElementsAre(after ? 0 : 2, 0, 2, 0)) << i;
  }
}

TEST(Uploads, MayBeLongerThanAnyBefore) {
  for (const std::int64_t count : {10, 300'000, 900'000, 10}) {
    const Tensor here = Tensor::full({count}, static_cast<double>(count), DType::kFloat32);
    Tensor there;
    for (int i = 0; i < 2; ++i) {
      DeviceStep step(kCuda);
      there = here.to(kCuda);
      step.end();
    }
    EXPECT_TRUE(is_identical(there.to(Device{}), here));
  }
}

TEST(Uploads, MayBeOfNothing) {
  for (int i = 0; i < 4; ++i) {
    DeviceStep step(kCuda);
    const Tensor there = Tensor::zeros({0}, DType::kFloat32).to(kCuda);
    Tensor other = Tensor::empty({0}, DType::kFloat32, kCuda);
    other.copy_from(Tensor::zeros({0}, DType::kFloat32));
    step.end();
    EXPECT_EQ(there.numel(), 0);
  }
}

}  // namespace
}  // namespace maskgrad
