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

TEST(TensorStatistics, OfTheLargestAndSmallestNumbersNeitherOverflowNorVanish) {
  constexpr double kMost = std::numeric_limits<double>::max();
  EXPECT_EQ(statistics_of(Tensor::full({3}, kMost, DType::kFloat64)).mean, kMost);
  const auto far_apart = statistics_of(Tensor::from<double>({kMost, -kMost}, {2}));
  EXPECT_EQ(far_apart.mean, 0);
  EXPECT_EQ(far_apart.std, kMost);
  constexpr double kLeast = std::numeric_limits<double>::denorm_min();
  const auto tiny = statistics_of(Tensor::from<double>({kLeast * 4, kLeast * 8}, {2}));
  EXPECT_EQ(tiny.mean, kLeast * 6);
  EXPECT_EQ(tiny.std, kLeast * 2);
}

TEST(TensorStatistics, OfEqualNumbersDoNotSpread) {
  for (const double x : {1.0, 5.0, 0.1, -1e-300}) {
    for (const std::int64_t count : {1, 10, 49, 1000}) {
      const auto s = statistics_of(Tensor::full({count}, x, DType::kFloat64));
      EXPECT_EQ(s.mean, x) << count;
      EXPECT_EQ(s.std, 0) << x << " " << count;
    }
  }
}

TEST(TensorStatistics, OfNothingOrNothingFiniteAreZero) {
  for (const Tensor& x :
       {Tensor::zeros({0, 3}, DType::kFloat32), Tensor::full({2}, NAN, DType::kFloat32)}) {
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
