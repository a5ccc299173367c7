// Which memory of the device is handed out, and what becomes of it when there is no more.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <span>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

#include "cuda/on_cuda.hpp"
#include "emulation/device.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kCuda;
using test::to_doubles;
using ::testing::Each;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class DevicePool : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::reuses_memory()) GTEST_SKIP() << "nothing is used again";
    const emulation::MemoryLimit limit(0);
    EXPECT_THROW(take(1024 * kMiB), std::bad_alloc) << "what was free goes back";
  }
  ~DevicePool() override {
    for (void* block : blocks_) cuda_memory->free(block);
  }

  void* take(std::size_t bytes) { return *blocks_.insert(cuda_memory->allocate(bytes)).first; }
  void give_back(void* block) {
    cuda_memory->free(block);
    blocks_.erase(block);
  }
  static std::uint64_t allocations() { return device_counts().allocations; }

  std::set<void*> blocks_;
};

TEST_F(DevicePool, HandsOutTheLowestAddressFirst) {
  std::vector<void*> all;
  for (int i = 0; i < 6; ++i) all.push_back(take(5000));
  std::sort(all.begin(), all.end());
  for (const int i : {3, 0, 5, 2}) give_back(all[static_cast<std::size_t>(i)]);
  for (const int i : {0, 2, 3, 5}) EXPECT_EQ(take(5000), all[static_cast<std::size_t>(i)]);
}

TEST_F(DevicePool, AsksTheDeviceForNothingThatItHas) {
  const std::vector<std::size_t> sizes = {0, 1, 255, 256, 257, 5000, 100'000, 3 * kMiB};
  std::vector<void*> first;
  for (const std::size_t size : sizes) first.push_back(take(size));
  for (void* block : first) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 256, 0U);
    give_back(block);
  }
  const std::uint64_t before = allocations();
  for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(take(sizes[i]), first[i]);
  EXPECT_EQ(allocations(), before);
}

TEST_F(DevicePool, CountsWhatIsInUse) {
  const std::uint64_t before = test::memory_in_use();
  void* const block = take(10'000);
  EXPECT_GE(test::memory_in_use(), before + 10'000);
  EXPECT_LE(test::memory_in_use(), before + 13'000);
  give_back(block);
  EXPECT_EQ(test::memory_in_use(), before);
}

TEST_F(DevicePool, GivesTheDeviceBackWhatNobodyUsesWhenThereIsNoMore) {
  give_back(take(20 * kMiB));
  const emulation::MemoryLimit limit(10 * kMiB);
  give_back(take(24 * kMiB));  // more than the limit leaves: the 20 MiB have to go
  EXPECT_THROW(take(200 * kMiB), std::bad_alloc);
  give_back(take(24 * kMiB));
}

TEST_F(DevicePool, KeepsWhatIsInUseWhenThereIsNoMore) {
  Tensor kept = Tensor::full({1000}, 3, DType::kFloat32, kCuda);
  give_back(take(20 * kMiB));
  const emulation::MemoryLimit limit(0);
  EXPECT_EQ(error_of([] { Tensor::empty({400 << 20}, DType::kBool, kCuda); }),
            "[tensor] bool (419430400,) takes 419430400 bytes, which the device does not have; a "
            "smaller batch size takes less, and so do more micro-batches");
  const std::unique_ptr<std::byte[]> many(new std::byte[400 * kMiB]);  // which nobody reads
  const std::span<const std::byte> bytes(many.get(), 400 * kMiB);
  EXPECT_EQ(
      error_of([&] { const cuda::Uploaded<std::byte> uploaded(bytes); }),
      "[device] cuda: there is no memory for 419430400 more bytes; a smaller batch size takes "
      "less, and so do more micro-batches");
  EXPECT_THAT(to_doubles(kept.to(Device{})), Each(3));
  EXPECT_THAT(to_doubles(kept.clone().to(Device{})), Each(3));
}

// The step has not started then, and its kernels use what it has given back.
TEST_F(DevicePool, RunsAStepBeforeTheMemoryThatItGaveBackGoes) {
  constexpr std::int64_t kMany = 2 << 20;
  Tensor y = Tensor::zeros({1}, DType::kBool, kCuda);
  const auto step = [&](std::int64_t more) {
    y.fill(false);
    DeviceStep on_device(kCuda);
    {
      const Tensor x = Tensor::empty({kMany}, DType::kBool, kCuda);
      Tensor last = x.view(kMany - 1, {1});
      last.fill(true);
      y.copy_from(last);
    }
    const Tensor other = Tensor::empty({more}, DType::kBool, kCuda);
    on_device.end();
    EXPECT_EQ(y.item(), 1);
  };
  for (int i = 0; i < 3; ++i) step(1000);
  const emulation::MemoryLimit limit(4 * kMiB);
  const std::uint64_t broken = device_counts().broken;
  step(5 << 20);
  EXPECT_EQ(device_counts().broken, broken + 1);
}

TEST_F(DevicePool, LetsNoStepBeReplayedWhoseMemoryMayBeGone) {
  Tensor x = Tensor::zeros({3}, DType::kFloat32, kCuda);
  const auto recorded_by = [&](int steps) {
    const std::uint64_t before = device_counts().recorded;
    for (int i = 0; i < steps; ++i) {
      DeviceStep step(kCuda);
      x.fill(1);
      step.end();
    }
    return device_counts().recorded - before;
  };
  recorded_by(100);  // a test before may have had the log put it off
  EXPECT_EQ(recorded_by(2), 0U);
  give_back(take(20 * kMiB));
  const emulation::MemoryLimit limit(10 * kMiB);
  give_back(take(24 * kMiB));
  EXPECT_EQ(recorded_by(2), 1U);
}

// Steps that fill a tensor. Their work is done all the same where there is no memory for a graph,
// and what nobody uses goes back, so that a later step has one.
class StepsWithoutMemory : public DevicePool {
 protected:
  void SetUp() override {
    DevicePool::SetUp();
    if (IsSkipped()) return;
    for (int i = 0; i < 200; ++i) step(0);  // a test before may have had the log put it off
    give_back(take(20 * kMiB));
  }

  // How the step ran: as one count of device_counts().
  std::string step(double value) {
    const DeviceCounts before = device_counts();
    DeviceStep on_device(kCuda);
    x_.fill(value);
    on_device.end();
    EXPECT_THAT(to_doubles(x_.to(Device{})), Each(value));
    const DeviceCounts now = device_counts();
    return now.replayed > before.replayed   ? "replayed"
           : now.recorded > before.recorded ? "recorded"
           : now.broken > before.broken     ? "broken"
                                            : "eager";
  }

  Tensor x_ = Tensor::zeros({3}, DType::kFloat32, kCuda);
};

TEST_F(StepsWithoutMemory, RunInPiecesWhereNoGraphIsMade) {
  const emulation::MemoryLimit limit(0);
  EXPECT_EQ(step(41), "broken");
  EXPECT_EQ(step(42), "recorded");
}

TEST_F(StepsWithoutMemory, RunInPiecesWhereAKernelIsNotLoaded) {
  {
    constexpr int kNoMemory = 2;
    const emulation::Installed lacking(13000, 1, kNoMemory);
    EXPECT_EQ(step(43), "broken");
  }
  EXPECT_EQ(step(44), "recorded");
}

TEST_F(StepsWithoutMemory, RunInPiecesWhereTheirGraphIsNotStarted) {
  EXPECT_EQ(step(0), "replayed");
  const emulation::MemoryLimit limit(0);
  EXPECT_EQ(step(0), "broken");
  EXPECT_EQ(step(0), "recorded") << "what it fell back to let all graphs go, with their memory";
  EXPECT_EQ(step(0), "replayed");
}

// In a process of its own, as the variable is read once.
[[noreturn]] void take_three_and_exit() {
  const std::uint64_t before = device_counts().allocations;
  for (int i = 0; i < 3; ++i) cuda_memory->free(cuda_memory->allocate(1000));
  if (device_counts().allocations != before + 3) std::_Exit(1);
  Tensor x = Tensor::zeros({3}, DType::kFloat32, kCuda);
  for (int i = 0; i < 3; ++i) {
    DeviceStep step(kCuda);
    x.fill(1);
    step.end();
  }
  std::_Exit(device_counts().eager == 3 ? 0 : 2);
}

TEST(DevicePoolDeathTest, UsesNothingAgainWhereTheEnvironmentSaysSo) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  ::setenv("MASKGRAD_CUDA_POOL", "0", 1);
  EXPECT_EXIT(take_three_and_exit(), ::testing::ExitedWithCode(0), "");
  ::unsetenv("MASKGRAD_CUDA_POOL");
}

// Lengths that come by turns, each with sizes of its own.
TEST_F(DevicePool, GivesStepsTheSameAddresses) {
  const auto addresses = [&](std::size_t length) {
    std::vector<void*> all, held;
    for (std::size_t i = 0; i < 30; ++i) {
      all.push_back(cuda_memory->allocate(length * (i % 4 + 1)));
      held.push_back(all.back());
      if (i % 3 == 2) {
        const std::size_t which = i * 7 % held.size();
        cuda_memory->free(held[which]);
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
    for (void* block : held) cuda_memory->free(block);
    return all;
  };
  for (const std::size_t length : {1000UL, 1300UL}) addresses(length);
  const std::vector<void*> one = addresses(1000), other = addresses(1300);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(addresses(1000), one);
    EXPECT_EQ(addresses(1300), other);
  }
}

}  // namespace
}  // namespace maskgrad
