// Several threads may give the device work, and take and give back its memory, at once.
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>

#include "cuda/on_cuda.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

// y = x (x + n) for new x each time, on the device and on the host.
void compare_products(int n, std::vector<std::string>& problems) {
  Random random(static_cast<std::uint64_t>(n));
  const auto y = [&](const Tensor& x) {
    const Variable v(x);
    return ops::multiply(v, ops::add(v, Variable(Tensor::full({1}, n, x.dtype(), x.device()))));
  };
  for (int i = 0; i < 40; ++i) {
    const Tensor x = test::uniform(random, {random.integer(1, 3000)}).to(DType::kFloat32);
    const Tensor there = y(x.to(kCuda)).value().to(Device{});
    if (!test::same_bits(there, y(x).value())) {
      problems.push_back(fmt::format("thread {}, round {}", n, i));
    }
  }
}

void in_threads(bool in_a_step) {
  std::vector<std::string> problems[4];
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&, n] {
      const Device device = in_a_step && n == 0 ? kCuda : Device{};
      DeviceStep step(device);
      compare_products(n, problems[n]);
      step.end();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& found : problems) EXPECT_EQ(found, std::vector<std::string>{});
}

TEST(DeviceThreads, ComputeWhatOneThreadComputes) { in_threads(false); }

TEST(DeviceThreads, ComputeBesideAStep) { in_threads(true); }

}  // namespace
}  // namespace maskgrad
