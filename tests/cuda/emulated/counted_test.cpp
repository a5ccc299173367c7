// What only an emulated device counts, and what it can be told to lack.
#include <functional>
#include <thread>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/on_cuda.hpp"
#include "cuda/training.hpp"
#include "emulation/device.hpp"
#include "emulation/emulator.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;
using test::to_doubles;
using ::testing::ElementsAre;

// What goes through no tensor on the device must not wait for one, nor start one.
TEST(CudaDevice, SaysWhyThereIsNone) {
  const auto reason = [](int driver, int gpus, int error_of_kernels = 0) {
    const emulation::Installed installed(driver, gpus, error_of_kernels);
    const std::string error = error_of([] { cuda::check_usable(); });
    const std::string why = why_no_cuda();
    EXPECT_EQ(error, why.empty() ? "no error" : "[device] " + why);
    EXPECT_EQ(choose_device("auto") == Device{}, !why.empty());
    return error;
  };
  EXPECT_EQ(reason(0, 0), "[device] cuda: no NVIDIA driver is installed");
  EXPECT_EQ(reason(12040, 1), "[device] cuda: the driver is for CUDA 12.4, this build needs 13.0");
  EXPECT_EQ(reason(13000, 0), "[device] cuda: the driver knows no GPU");
  constexpr int kNoKernelImage = 209, kUnsupportedPtx = 222, kNoCompiler = 223, kNoMemory = 2,
                kUnavailable = 46;
  for (const int error : {kNoKernelImage, kUnsupportedPtx, kNoCompiler}) {
    EXPECT_EQ(
        reason(13000, 1, error),
        "[device] cuda: this build has no kernels for a GPU of compute capability 9.0; configure "
        "with -DMASKGRAD_CUDA_ARCHITECTURES=90");
  }
  EXPECT_EQ(
      reason(13000, 1, kNoMemory),
      "[device] cuda: the GPU has no memory left to begin with; nvidia-smi shows what uses it");
  EXPECT_EQ(reason(13000, 1, kUnavailable),
            "[device] cuda: CUDA-capable device(s) is/are busy or unavailable");
  EXPECT_EQ(reason(13020, 1), "no error");
}

TEST(CudaDevice, HasAName) { EXPECT_EQ(describe(kCuda), "cuda (emulated)"); }

// Uploads since the last call.
std::uint64_t uploads() {
  static std::uint64_t before = 0;
  const std::uint64_t now = emulation::counters().uploads;
  return now - std::exchange(before, now);
}

TEST(CudaMask, UploadsItsBitsOnceForAllCopies) {
  const SequenceMask mask(test::bits({1, 0, 1, 1}, {2, 2})), copy = mask;
  Tensor x = Tensor::zeros({2, 2, 3}, DType::kFloat32, kCuda);
  uploads();
  EXPECT_TRUE(is_identical(mask.bits_on(kCuda).to(Device{}), mask.bits()));
  EXPECT_EQ(uploads(), 1U);
  const Traffic before = Traffic::so_far();
  EXPECT_TRUE(copy.bits_on(kCuda).is_same_view(mask.bits_on(kCuda)));
  fill_holes(x, mask, 1);
  fill_holes(x, copy, 2);
  EXPECT_EQ(uploads(), 0U);
  EXPECT_EQ(Traffic::so_far().copied, before.copied);
  EXPECT_EQ(Traffic::so_far().syncs, before.syncs);
  fill_holes(x, SequenceMask(mask.bits()), 3);  // another mask with the same bits
  EXPECT_EQ(uploads(), 1U);
  EXPECT_THAT(to_doubles(x.to(Device{})), ElementsAre(0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0));
}

// What is kept goes to the device once, and backward finds it there.
TEST(CudaMask, OfAnOperationIsUploadedInTheForwardPassAlone) {
  using ops::masked_layer_norm, ops::masked_max, ops::masked_mean, ops::masked_softmax;
  const Tensor keep = test::bits({1, 0, 1, 1, 1, 0}, {2, 3});
  const Variable weight = test::leaf(Tensor::full({3}, 1, DType::kFloat32, kCuda));
  const std::function<Variable(const Variable&)> functions[] = {
      [&](const Variable& x) { return masked_softmax(x, keep); },
      [&](const Variable& x) { return masked_mean(x, keep, 1); },
      [&](const Variable& x) { return masked_max(x, keep, 0); },
      [&](const Variable& x) { return masked_layer_norm(x, keep, weight, weight); }};
  for (const auto& f : functions) {
    const Variable x = test::leaf(Tensor::full({2, 3}, 2, DType::kFloat32, kCuda));
    Tape tape;
    uploads();
    const Variable y = f(x);
    EXPECT_GT(uploads(), 0U);
    const Tensor g = Tensor::full(y.shape(), 1, DType::kFloat32, kCuda);
    uploads();
    tape.backward(y, g);
    EXPECT_EQ(uploads(), 0U);
  }
}

TEST(CudaMask, UploadsNothingForTheHost) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2})), nothing;
  Tensor x = Tensor::zeros({1, 2}, DType::kFloat32);
  uploads();
  EXPECT_TRUE(mask.bits_on(Device{}).is_same_view(mask.bits()));
  fill_holes(x, mask, 1);
  EXPECT_THAT(to_doubles(x), ElementsAre(0, 1));
  EXPECT_FALSE(nothing.bits_on(kCuda).defined());
  EXPECT_EQ(uploads(), 0U);
}

TEST(CudaMask, UploadsOnceHoweverManyThreadsAsk) {
  const SequenceMask mask(test::bits({1, 0, 1, 1}, {2, 2}));
  uploads();
  std::vector<Tensor> there(4);
  {
    std::vector<std::jthread> threads;
    for (Tensor& one : there) {
      threads.emplace_back([&one, copy = mask] { one = copy.bits_on(kCuda); });
    }
  }
  EXPECT_EQ(uploads(), 1U);
  for (const Tensor& one : there) EXPECT_TRUE(one.is_same_view(mask.bits_on(kCuda)));
}

// The bits of the mask are there from the first step on. What is left is where the gradient starts.
TEST(CudaTraining, UploadsOneNumberInASteadyStep) {
  test::ElementwiseModel model(kCuda, DType::kFloat32, true);
  model.step();
  uploads();
  model.step();
  EXPECT_EQ(uploads(), 1U);
}

}  // namespace
}  // namespace maskgrad
