// What tests of steps share.
#pragma once

#include <utility>

#include <gtest/gtest.h>

#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>

#include "cuda/on_cuda.hpp"

namespace maskgrad::test {

/// What the device was asked for since the last call.
class Since {
 public:
  DeviceCounts operator()() {
    const DeviceCounts now = device_counts();
    const DeviceCounts then = std::exchange(before_, now);
    return {now.eager - then.eager, now.recorded - then.recorded, now.replayed - then.replayed,
            now.broken - then.broken, now.allocations - then.allocations};
  }

 private:
  DeviceCounts before_ = device_counts();
};

/// A step that multiplies `input`, in the memory of x, by w. On the host.
inline Tensor product_in_step(Tensor& x, const Tensor& input, const Variable& w) {
  x.copy_from(input);
  DeviceStep on_device(kCuda);
  const Tensor y = ops::matmul(Variable(x), w).value();
  on_device.end();
  return y.to(Device{});
}

/// Once some steps are recorded again, where a test before had the log put it off.
class DeviceSteps : public ::testing::Test {
 protected:
  void SetUp() override {
    Tensor x = Tensor::zeros({1}, DType::kFloat32, kCuda);
    Since since;
    for (int i = 0; i < 100; ++i) {
      DeviceStep step(kCuda);
      x.fill(i);
      step.end();
      if (since().eager == 0) return;
    }
  }
};

}  // namespace maskgrad::test
