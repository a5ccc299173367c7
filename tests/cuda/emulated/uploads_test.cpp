// Kernels that leave what was uploaded for them are found.
#include <gtest/gtest.h>

#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>

#include "cuda/on_cuda.hpp"
#include "cuda/test_kernels.hpp"
#include "emulation/device.hpp"
#include "emulation/emulator.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;

TEST(EmulatedUploads, EndWhereTheirBytesEnd) {
  if (!emulation::sees_accesses()) GTEST_SKIP() << "needs kernels whose accesses are seen";
  Tensor y = Tensor::zeros({64}, DType::kFloat32, kCuda);
  for (const unsigned threads : {64U, 65U}) {
    const std::string error = error_of([&] {
      DeviceStep step(kCuda);
      const Tensor x = Tensor::full({64}, 1, DType::kFloat32).to(kCuda);
      test::copy(x.device_data<float>(), y.device_data<float>(), threads);
      step.end();
      cuda::synchronize();
    });
    EXPECT_EQ(error, threads == 64 ? "no error"
                                   : "[copy] block (0, 0, 0): thread 64 reads outside of what it "
                                     "was given");
  }
}

TEST(EmulatedUploads, AreDoneBeforeTheHostGoesOnWhereTheDeviceReadsItsMemory) {
  const emulation::ReadsMemoryOfTheHost reads;
  Tensor x = Tensor::full({3}, 1, DType::kFloat32);
  const std::uint64_t before = Traffic::so_far().syncs;
  const Tensor there = x.to(kCuda);
  EXPECT_EQ(Traffic::so_far().syncs, before);
  x.fill(7);
  EXPECT_TRUE(is_identical(there.to(Device{}), Tensor::full({3}, 1, DType::kFloat32)));
}

}  // namespace
}  // namespace maskgrad
