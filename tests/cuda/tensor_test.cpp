// Tensors on a device: what goes there comes back, and the host reads nothing that is there.
#include <gmock/gmock.h>

#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/xtensor.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;
using test::to_doubles;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr const char* kUnreadable =
    "[tensor] is on cuda: the host cannot read it; bring it there with to(Device{})";

TEST(CudaTensor, ComesBackAsItWentThere) {
  Random random(1);
  for (const DType dtype : test::kEveryDType) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{7}, Shape{3, 5, 2}}) {
      const Tensor x = test::uniform(random, shape).to(dtype), there = x.to(kCuda);
      EXPECT_EQ(there.device(), kCuda);
      EXPECT_EQ(there.dtype(), dtype);
      EXPECT_TRUE(is_identical(there.to(Device{}), x));
      EXPECT_TRUE(is_identical(there.clone().to(Device{}), x));
    }
  }
}

TEST(CudaTensor, IsTheSameStorageWhereItIsAlready) {
  const Tensor x = Tensor::from({1.f, 2.f}, {2}, kCuda);
  EXPECT_TRUE(x.to(kCuda).is_same_view(x));
  const Tensor on_cpu = x.to(Device{});
  EXPECT_TRUE(on_cpu.to(Device{}).is_same_view(on_cpu));
}

TEST(CudaTensor, IsNotReadByTheHost) {
  Tensor x = Tensor::zeros({2}, DType::kFloat32, kCuda);
  const Tensor& read = x;
  EXPECT_EQ(error_of([&] { x.data<float>(); }), kUnreadable);
  EXPECT_EQ(error_of([&] { read.data<float>(); }), kUnreadable);
  EXPECT_EQ(error_of([&] { read.values<float>(); }), kUnreadable);
  EXPECT_EQ(error_of([&] { x.raw_data(); }), kUnreadable);
  EXPECT_EQ(error_of([&] { read.raw_data(); }), kUnreadable);
  EXPECT_EQ(error_of([&] { is_identical(x, x); }), kUnreadable);
  EXPECT_EQ(error_of([&] { as_xtensor<float>(x); }), kUnreadable);
  EXPECT_EQ(error_of([&] { as_xtensor<float>(read); }), kUnreadable);
  EXPECT_EQ(error_of([&] { read.view(1, {1}).data<float>(); }), kUnreadable);
  EXPECT_EQ(error_of([&] { read.data<double>(); }), "[tensor] holds float32, not float64");
}

TEST(CudaTensor, KernelsGetNothingElse) {
  Tensor here = Tensor::zeros({2}, DType::kFloat32), there = here.to(kCuda);
  EXPECT_EQ(error_of([&] { here.device_data<float>(); }),
            "[tensor] is on cpu: a kernel for cuda cannot read it");
  EXPECT_EQ(error_of([&] { there.device_data<double>(); }), "[tensor] holds float32, not float64");
  EXPECT_EQ(error_of([] { Tensor().device_data<float>(); }),
            "[tensor] used before it was given a value");
}

TEST(CudaTensor, IsFilledWithAnyElement) {
  for (const DType dtype : test::kEveryDType) {
    EXPECT_THAT(to_doubles(Tensor::full({300}, 1, dtype, kCuda).to(Device{})), Each(1));
    EXPECT_THAT(to_doubles(Tensor::zeros({300}, dtype, kCuda).to(Device{})), Each(0));
  }
  Tensor x = Tensor::zeros({3}, DType::kFloat64, kCuda);
  x.view(1, {1}).fill(-0.5);
  EXPECT_THAT(to_doubles(x.to(Device{})), ElementsAre(0, -0.5, 0));
  EXPECT_EQ(error_of([&] { Tensor::zeros({1}, DType::kInt32, kCuda).fill(0.5); }),
            "[tensor] fill 0.5 is no int32");
}

TEST(CudaTensor, ConvertsBetweenFloatingTypesOnly) {
  const Tensor x = test::make({0.1, -2, 1e300, test::kNaN}, {4});
  const Tensor narrow = x.to(kCuda).to(DType::kFloat32);
  EXPECT_EQ(narrow.device(), kCuda);
  EXPECT_TRUE(test::is_near(narrow.to(Device{}), x.to(DType::kFloat32)));
  EXPECT_TRUE(test::is_near(narrow.to(DType::kFloat64).to(Device{}),
                            x.to(DType::kFloat32).to(DType::kFloat64)));
  EXPECT_EQ(
      error_of([&] { narrow.to(DType::kInt64); }),
      "[tensor] on cuda only floating types are converted, not float32 to int64; do it on the "
      "host");
}

TEST(CudaTensor, IsCopiedFromAndToEveryDevice) {
  const Tensor numbers = Tensor::from({1, 2, 3, 4, 5}, {5});
  Tensor there = Tensor::zeros({5}, DType::kInt32, kCuda), other = there.clone(),
         back = Tensor::zeros({5}, DType::kInt32);
  there.copy_from(numbers);
  other.copy_from(there);
  back.copy_from(other);
  EXPECT_TRUE(is_identical(back, numbers));
  EXPECT_EQ(error_of([&] { there.copy_from(Tensor::zeros({4}, DType::kInt32)); }),
            "[tensor] cannot copy int32 (4,) into int32 (5,)");
}

TEST(CudaTensor, IsCopiedBetweenViewsThatOverlap) {
  const Tensor x = Tensor::from({1, 2, 3, 4, 5}, {5}, kCuda);
  x.view(1, {4}).copy_from(x.view(0, {4}));
  EXPECT_THAT(to_doubles(x.to(Device{})), ElementsAre(1, 1, 2, 3, 4));
}

TEST(CudaTensor, MayChangeOnTheHostAfterTheUpload) {
  for (const std::int64_t count : {std::int64_t{2}, test::many_elements()}) {
    Tensor x = Tensor::full({count}, 1, DType::kFloat64);
    const Tensor there = x.to(kCuda);
    x.fill(7);
    EXPECT_TRUE(is_identical(there.to(Device{}), Tensor::full({count}, 1, DType::kFloat64)));
  }
}

TEST(CudaTensor, MakesTheHostWaitForItsElementsAlone) {
  const Tensor x = Tensor::full({4}, 2, DType::kFloat32).to(kCuda);
  const std::uint64_t before = Traffic::so_far().syncs;
  Tensor y = x.clone();
  y.fill(3);
  y.to(DType::kFloat64);
  EXPECT_EQ(Traffic::so_far().syncs, before);
  EXPECT_EQ(y[2].item(), 3);
  EXPECT_EQ(Traffic::so_far().syncs, before + 1);
  EXPECT_EQ(error_of([&] { x.item(); }),
            "[tensor] item() needs exactly one element, the shape is (4,)");
}

TEST(CudaTensor, GivesItsMemoryBackBehindTheWorkThatReadsIt) {
  cuda::synchronize();
  const std::uint64_t before = test::memory_in_use();
  {
    Tensor y = Tensor::zeros({1000}, DType::kFloat32, kCuda);
    const std::uint64_t of_one = test::memory_in_use() - before;
    EXPECT_GT(of_one, 0U);
    for (int i = 0; i < 10; ++i) y.copy_from(Tensor::full({1000}, i, DType::kFloat32, kCuda));
    EXPECT_EQ(y[999].item(), 9);
    cuda::synchronize();
    EXPECT_EQ(test::memory_in_use(), before + of_one);
  }
  cuda::synchronize();
  EXPECT_EQ(test::memory_in_use(), before);
}

TEST(CudaTensor, SaysThatTheDeviceHasNoMoreMemory) {
  EXPECT_EQ(
      error_of([] { Tensor::empty({std::int64_t{1} << 40}, DType::kFloat32, kCuda); }),
      "[tensor] float32 (1099511627776,) takes 4398046511104 bytes, which the device does not "
      "have; a smaller batch size takes less, and so do more micro-batches");
}

TEST(CudaTensor, IsOnTheOneDeviceOfAProcess) {
  EXPECT_EQ(error_of([] {
              Tensor::empty({1}, DType::kFloat32, {DeviceType::kCuda, 3});
            }),
            "[device] a process uses one CUDA device, not number 3");
}

TEST(CudaMask, IsMadeOfBitsOnTheHost) {
  const Tensor bits = test::bits({1, 0, 1, 1}, {2, 2});
  EXPECT_EQ(
      error_of([&] { SequenceMask(bits.to(kCuda)); }),
      "[sequence_mask] a mask is made of bits on the host; these are on cuda, fetch them with "
      "to(Device{})");
}

TEST(CudaMask, FillsTheHolesOfEveryDType) {
  Random random(2);
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  for (const DType dtype : test::kEveryDType) {
    for (const Shape& shape : {Shape{2, 3}, Shape{2, 3, 5}, Shape{2, 3, 0}}) {
      Tensor here = test::uniform(random, shape).to(dtype), there = here.to(kCuda);
      fill_holes(here, mask, 1);
      fill_holes(there, mask, 1);
      EXPECT_TRUE(is_identical(there.to(Device{}), here));
    }
  }
  Tensor there = Tensor::zeros({2, 3}, DType::kFloat32, kCuda);
  EXPECT_EQ(error_of([&] { fill_holes(there, mask, 1e300); }).substr(0, 6), "[mask]");
  EXPECT_EQ(error_of([&] { holes_hold(there, mask, 0); }), kUnreadable);
}

TEST(CudaMask, GivesItsMemoryOnTheDeviceBackWithItsLastCopy) {
  cuda::synchronize();
  const std::uint64_t before = test::memory_in_use();
  {
    SequenceMask copy;
    {
      const SequenceMask mask(test::bits({1, 0, 1, 1}, {2, 2}));
      mask.bits_on(kCuda);
      copy = mask;
    }
    cuda::synchronize();
    EXPECT_GT(test::memory_in_use(), before);
  }
  cuda::synchronize();
  EXPECT_EQ(test::memory_in_use(), before);
}

TEST(CudaMask, IsOfNoUseThereOnceItsBitsWereWrittenTo) {
  const auto refusal = [](bool on_device) {
    const SequenceMask mask(test::bits({1, 0}, {1, 2}));
    Tensor there = mask.bits_on(kCuda), here = mask.bits();
    (on_device ? there : here).fill(true);
    Tensor x = Tensor::zeros({1, 2}, DType::kFloat32, kCuda);
    return error_of([&] { fill_holes(x, mask, 1); });
  };
  const char* const refused =
      "[sequence_mask] somebody wrote to the bits of a mask; clone() them, and make a mask of that";
  EXPECT_EQ(refusal(false), refused);
  EXPECT_EQ(refusal(true), refused);
}

TEST(CudaMask, IsOnTheOneDeviceOfAProcess) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  mask.bits_on(kCuda);
  EXPECT_EQ(error_of([&] {
              mask.bits_on({DeviceType::kCuda, 3});
            }),
            "[device] a process uses one CUDA device, not number 3");
  EXPECT_EQ(mask.bits_on(kCuda).device(), kCuda);
}

}  // namespace
}  // namespace maskgrad
