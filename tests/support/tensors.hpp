// Making tensors in tests, and comparing them with plain numbers.
#pragma once

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::test {

inline constexpr DType kFloatingDTypes[] = {DType::kFloat32, DType::kFloat64};
inline constexpr DType kEveryDType[] = {DType::kFloat32, DType::kFloat64, DType::kInt32,
                                        DType::kInt64, DType::kBool};
inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// `values` in row-major order, converted to `dtype`.
Tensor make(const std::vector<double>& values, const Shape& shape, DType dtype = DType::kFloat64);

/// A leaf that takes a gradient.
Variable leaf(const Tensor& value, SequenceMask mask = {});

/// A leaf whose gradient is written to memory that holds NaN, as that of a model's buffer may.
Variable leaf_over_nan(const Tensor& value);

/// The elements as doubles, in row-major order.
std::vector<double> to_doubles(const Tensor& x);

/// float64, uniform in [low, high).
Tensor uniform(Random& random, const Shape& shape, double low = -2.0, double high = 2.0);

/// bool [...] from 0 and 1.
Tensor bits(const std::vector<double>& values, const Shape& shape);

/// bool [...], each true with probability `share`.
Tensor random_bits(Random& random, const Shape& shape, double share = 2.0 / 3);

/// A few roundings of a number near 1.
double tolerance(DType dtype);

/// Every element within `tolerance` * max(1, |expected|); NaN equals NaN, infinities themselves.
::testing::AssertionResult is_close(const Tensor& actual, const std::vector<double>& expected,
                                    double tolerance);

/// With the tolerance of the dtype.
::testing::AssertionResult is_close(const Tensor& actual, const std::vector<double>& expected);

/// Shapes, dtypes and every byte agree; names the first element that differs.
::testing::AssertionResult same_bits(const Tensor& a, const Tensor& b);

}  // namespace maskgrad::test
