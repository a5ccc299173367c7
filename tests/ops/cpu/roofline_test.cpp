#include <numeric>
#include <vector>

#include <gtest/gtest.h>
#include <xsimd/xsimd.hpp>

#include <maskgrad/ops/cpu/roofline.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {
namespace {

// Wider vectors would not stay in registers, narrower ones would leave them half empty.
TEST(Roofline, MultipliesAndAddsVectorsOfTheWidthThatKernelsHave) {
  constexpr std::int64_t kSums = 12, kLanes = xsimd::batch<float>::size;
  EXPECT_EQ(run_multiply_adds(0), 0);
  EXPECT_EQ(run_multiply_adds(7), 7 * kSums * kLanes);
}

TEST(Roofline, ReadsAllButWhatIsLeftBehindTheLastFourVectors) {
  for (const std::int64_t count : {0, 64, 128, 640}) {
    Tensor x = Tensor::empty({count}, DType::kFloat32);
    std::iota(x.data<float>(), x.data<float>() + count, 1.0F);
    EXPECT_EQ(read_all(std::as_const(x).values<float>()),
              static_cast<float>(count * (count + 1) / 2))
        << count;
  }
}

TEST(Roofline, StreamsTwoArraysIntoOne) {
  const std::vector<float> x = {2, -4, 8};
  std::vector<float> y = {1, 1, 1};
  stream(x, y);
  EXPECT_EQ(y, (std::vector<float>{2, -1, 5}));
}

}  // namespace
}  // namespace maskgrad::ops
