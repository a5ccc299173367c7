// What a GPU says of a kernel that goes wrong. It serves the process no more then, so that each
// test has a process of its own.
#include <cstdio>
#include <cstdlib>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/runtime.hpp>

#include "cuda/on_cuda.hpp"
#include "cuda/test_kernels.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

// What the host hears of a kernel that writes to address 0, and after that.
[[noreturn]] void go_wrong() {
  Tensor x = Tensor::zeros({128}, DType::kFloat32, kCuda);
  test::copy(x.device_data<float>(), nullptr, 128);
  const std::string first = test::error_of([] { cuda::synchronize(); });
  const std::string later = test::error_of([&] { x.fill(1); });
  std::fprintf(stderr, "%s; %s\n", first.c_str(), later.c_str());
  std::_Exit(3);
}

TEST(GpuDeathTest, EndsWithTheErrorOfAKernelThatWentWrong) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const char* const error =
      "\\[device\\] cuda: an illegal memory access was encountered; "
      "\\[[a-z]+\\] cuda: an illegal memory access was encountered";
  EXPECT_EXIT(go_wrong(), ::testing::ExitedWithCode(3), error);
}

// The same where each kernel is waited for: what is wrong is told by the call that starts it.
[[noreturn]] void go_wrong_at_once() {
  Tensor x = Tensor::zeros({128}, DType::kFloat32, kCuda);
  const std::string error =
      test::error_of([&] { test::copy(x.device_data<float>(), nullptr, 128); });
  std::fprintf(stderr, "%s\n", error.c_str());
  std::_Exit(3);
}

TEST(GpuDeathTest, NamesTheKernelWhereTheEnvironmentSaysSo) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  ::setenv("MASKGRAD_CUDA_SYNC", "1", 1);
  EXPECT_EXIT(go_wrong_at_once(), ::testing::ExitedWithCode(3),
              "\\[copy\\] cuda: an illegal memory access was encountered");
  ::unsetenv("MASKGRAD_CUDA_SYNC");
}

TEST(Gpu, IsUsable) {
  EXPECT_EQ(test::error_of([] { cuda::check_usable(); }), "no error");
}

}  // namespace
}  // namespace maskgrad
