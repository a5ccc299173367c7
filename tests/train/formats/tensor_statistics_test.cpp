#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <maskgrad/train/formats/tensor_statistics.hpp>

namespace maskgrad {
namespace {

TEST(TensorStatistics, CountFiniteValuesAloneAndAllOfThem) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto s = statistics_of(Tensor::from<double>({kInf, -2, 0, -0.0, 6, NAN}, {2, 3}));
  EXPECT_EQ(s.count, 6);
  EXPECT_EQ(s.not_finite, 2);
  EXPECT_EQ(s.zeros, 2);
  EXPECT_EQ(s.min, -2);
  EXPECT_EQ(s.mean, 1);
  EXPECT_EQ(s.max, 6);
  EXPECT_EQ(s.std, 3);  // the root of (9 + 1 + 1 + 25) / 4
}

TEST(TensorStatistics, AreThoseOfTheSameNumbersInAFile) {
  const Tensor x = Tensor::from<std::int32_t>({-7, 3, 4, 1000000}, {4});
  const auto values = std::as_const(x).values<std::int32_t>();
  const SafetensorsEntry entry = {
      .name = "x",
      .dtype = "I32",
      .shape = {4},
      .data = {reinterpret_cast<const char*>(values.data()), values.size_bytes()}};
  const auto of_tensor = statistics_of(x), of_file = statistics_of(entry).value();
  EXPECT_EQ(of_tensor.mean, of_file.mean);
  EXPECT_EQ(of_tensor.std, of_file.std);
  EXPECT_EQ(of_tensor.max, 1000000);
  EXPECT_EQ(of_file.min, -7);
}

TEST(TensorStatistics, OfTheLargestNumbersHaveAMean) {
  constexpr double kMost = std::numeric_limits<double>::max();
  EXPECT_EQ(statistics_of(Tensor::from<double>({kMost, kMost}, {2})).mean, kMost);
}

TEST(TensorStatistics, OfNothingOrNothingFiniteAreZero) {
  for (const Tensor& x : {Tensor::zeros({0, 3}, DType::kFloat32), Tensor::full({2}, NAN, DType::kFloat32)}) {
    const auto s = statistics_of(x);
    EXPECT_EQ(s.count, x.numel());
    EXPECT_EQ(s.not_finite, x.numel());
    EXPECT_EQ(s.min, 0);
    EXPECT_EQ(s.mean, 0);
    EXPECT_EQ(s.max, 0);
    EXPECT_EQ(s.std, 0);
  }
}

}  // namespace
}  // namespace maskgrad
