// Devices by name.
#include <gtest/gtest.h>

#include <maskgrad/tensor/cuda/choose_device.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;

TEST(ChooseDevice, TakesTheCpuByItsName) {
  EXPECT_EQ(choose_device("cpu"), Device{});
  EXPECT_EQ(describe(Device{}), "cpu");
}

TEST(ChooseDevice, SaysWhyThereIsNoGpu) {
  const std::string why = why_no_cuda();
  if (why.empty()) GTEST_SKIP() << "there is one";
  EXPECT_EQ(choose_device("auto"), Device{});
  EXPECT_EQ(error_of([] { choose_device("cuda"); }), "[device] " + why);
  EXPECT_NE(error_of([] { describe({DeviceType::kCuda}); }), "no error");
}

TEST(ChooseDevice, RefusesOtherNamesAndShowsThemInOneLine) {
  const auto refused = [](std::string_view name) {
    return error_of([&] { choose_device(name, "--device"); });
  };
  const std::string rule = "[device] --device must be one of cpu, auto, cuda, not '";
  EXPECT_EQ(refused("gpu"), rule + "gpu'");
  EXPECT_EQ(refused("CPU"), rule + "CPU'");
  EXPECT_EQ(refused(""), rule + "'");
  EXPECT_EQ(refused("a\x1b[2J\n"), rule + "a\\x1b[2J\\n'");
  EXPECT_EQ(refused(std::string(1000, 'x')), rule + std::string(60, 'x') + "...'");
  EXPECT_EQ(error_of([] { choose_device("gpu"); }),
            "[device] the device must be one of cpu, auto, cuda, not 'gpu'");
}

}  // namespace
}  // namespace maskgrad
