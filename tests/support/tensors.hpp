// Making tensors in tests, and comparing them with plain numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
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
inline Tensor make(const std::vector<double>& values, const Shape& shape,
                   DType dtype = DType::kFloat64) {
  return Tensor::from(std::span<const double>(values), shape).to(dtype);
}

/// A leaf that takes a gradient.
inline Variable leaf(const Tensor& value, SequenceMask mask = {}) {
  return Variable(value, Variable::kRequiresGrad, std::move(mask));
}

/// A leaf whose gradient is written to memory that holds NaN, as that of a model's buffer may.
inline Variable leaf_over_nan(const Tensor& value) {
  Variable x = leaf(value);
  x.bind(Tensor::empty(value.shape(), value.dtype()),
         Tensor::full(value.shape(), kNaN, value.dtype()));
  return x;
}

/// The elements as doubles, in row-major order.
inline std::vector<double> to_doubles(const Tensor& x) {
  const Tensor wide = x.to(DType::kFloat64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

/// float64, uniform in [low, high).
inline Tensor uniform(Random& random, const Shape& shape, double low = -2.0, double high = 2.0) {
  Tensor x = Tensor::empty(shape, DType::kFloat64);
  std::generate_n(x.data<double>(), x.numel(), [&] { return random.uniform(low, high); });
  return x;
}

/// bool [...] from 0 and 1.
inline Tensor bits(const std::vector<double>& values, const Shape& shape) {
  return make(values, shape, DType::kBool);
}

/// bool [...], each true with probability `share`.
inline Tensor random_bits(Random& random, const Shape& shape, double share = 2.0 / 3) {
  Tensor x = Tensor::empty(shape, DType::kBool);
  std::generate_n(x.data<bool>(), x.numel(), [&] { return random.uniform() < share; });
  return x;
}

/// A few roundings of a number near 1.
inline double tolerance(DType dtype) { return dtype == DType::kFloat32 ? 3e-6 : 1e-14; }

/// Every element within `tolerance` * max(1, |expected|); NaN equals NaN, infinities themselves.
inline ::testing::AssertionResult is_close(const Tensor& actual,
                                           const std::vector<double>& expected, double tolerance) {
  const std::vector<double> values = to_doubles(actual);
  if (values.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << values.size() << " elements, " << expected.size() << " expected";
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double a = values[i], e = expected[i];
    const bool same = a == e || (std::isnan(a) && std::isnan(e)) ||
                      std::abs(a - e) <= tolerance * std::max(1.0, std::abs(e));
    if (!same || (std::isinf(e) && a != e)) {
      return ::testing::AssertionFailure()
             << "element " << i << " is " << a << ", expected " << e << " (" << a - e << ")";
    }
  }
  return ::testing::AssertionSuccess();
}

inline ::testing::AssertionResult is_close(const Tensor& actual,
                                           const std::vector<double>& expected) {
  return is_close(actual, expected, tolerance(actual.dtype()));
}

/// Shapes, dtypes and every byte agree; names the first element that differs.
inline ::testing::AssertionResult same_bits(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) {
    return ::testing::AssertionFailure() << "only one of them is defined";
  }
  if (!a.defined() || is_identical(a, b)) return ::testing::AssertionSuccess();
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) {
    return ::testing::AssertionFailure()
           << to_string(a.dtype()) << " " << to_string(a.shape()) << " and " << to_string(b.dtype())
           << " " << to_string(b.shape());
  }
  const std::size_t size = size_of(a.dtype());
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const auto at = static_cast<std::size_t>(i) * size;
    if (std::memcmp(a.raw_data() + at, b.raw_data() + at, size) == 0) continue;
    return ::testing::AssertionFailure()
           << "element " << i << " of " << to_string(a.shape()) << " is "
           << to_doubles(a)[static_cast<std::size_t>(i)] << " in one, "
           << to_doubles(b)[static_cast<std::size_t>(i)] << " in the other";
  }
  return ::testing::AssertionFailure() << "differ";
}

}  // namespace maskgrad::test
