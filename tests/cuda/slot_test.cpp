// Where an operation on CUDA tensors goes, and what it refuses.
#include <gmock/gmock.h>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;

constinit CudaKernel<void(const Tensor& x, Tensor& y)> kCopies{"copies"};
constinit CudaKernel<void(const Tensor& x, Tensor& y)> kEmpty{"empty"};

const Tensor& here() {
  static const Tensor x = Tensor::from({1.f, -2.f}, {2});
  return x;
}
Tensor there() { return here().to(kCuda); }

TEST(KernelSlot, RunsWhatItWasFilledWithForTensorsOnCuda) {
  EXPECT_FALSE(KernelSlot::any_of("copies"));
  kCopies.fill([](const Tensor& x, Tensor& y) { y.copy_from(x); });
  EXPECT_TRUE(KernelSlot::any_of("copies"));
  bool on_cpu = false;
  const auto run = [&](const Tensor& x) {
    Tensor y = Tensor::zeros(x.shape(), x.dtype(), x.device());
    dispatch_device(
        x.device(), kCopies, [&] { on_cpu = true; }, x, y);
    return y.to(Device{});
  };
  EXPECT_TRUE(is_identical(run(there()), here()));
  EXPECT_FALSE(on_cpu);
  run(here());
  EXPECT_TRUE(on_cpu);
  EXPECT_EQ(error_of([] { kCopies.fill([](const Tensor&, Tensor&) {}); }),
            "[copies] has two CUDA kernels");
}

TEST(KernelSlot, SaysWhichOperationHasNoKernel) {
  Tensor x = there(), y = there();
  EXPECT_EQ(error_of([&] {
              dispatch_device(
                  kCuda, kEmpty, [] {}, x, y);
            }),
            "[empty] has no CUDA kernel");
}

TEST(KernelSlot, RefusesTensorsOfTwoDevices) {
  const Variable on_cpu(here()), on_cuda(there());
  const std::string error = "[add] got one input on cuda and another on cpu";
  EXPECT_EQ(error_of([&] { ops::add(on_cpu, on_cuda); }), error);
  EXPECT_EQ(error_of([&] { ops::add(on_cuda, on_cpu); }), error);
  const Variable column(Tensor::zeros({2, 1}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { ops::add(column, on_cuda); }), error);
  EXPECT_EQ(error_of([&] { ops::add(on_cuda, column); }), error);
}

TEST(KernelSlot, RefusesAGradientOnAnotherDevice) {
  const auto backward = [](const Tensor& x, const Tensor& g) {
    Tape tape;
    const Variable leaf = test::leaf(x);
    tape.backward(ops::relu(leaf), g);
  };
  EXPECT_EQ(error_of([&] { backward(there(), here()); }),
            "[backward] grad_output is on cpu, the value on cuda");
  EXPECT_EQ(error_of([&] { backward(here(), there()); }),
            "[backward] grad_output is on cuda, the value on cpu");
}

TEST(KernelSlot, MovesALeafToTheDeviceOfItsBuffers) {
  Variable leaf = test::leaf(here());
  const Tensor zeros = Tensor::zeros({2}, DType::kFloat32), zeros_there = zeros.to(kCuda);
  EXPECT_EQ(error_of([&] { leaf.bind(there(), zeros); }),
            "[variable] the value's buffer is on cuda and the gradient's on cpu");
  leaf.bind(there().clone(), zeros_there);
  EXPECT_EQ(leaf.device(), kCuda);
  EXPECT_TRUE(is_identical(leaf.value().to(Device{}), here()));
  {
    Tape tape;
    tape.backward(ops::negate(leaf), there());
  }
  EXPECT_TRUE(leaf.grad().is_same_view(zeros_there));
  EXPECT_EQ(test::to_doubles(zeros_there.to(Device{})), (std::vector<double>{-1, 2}));
}

}  // namespace
}  // namespace maskgrad
