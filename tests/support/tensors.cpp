#include "support/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

namespace maskgrad::test {

Tensor make(const std::vector<double>& values, const Shape& shape, DType dtype) {
  return Tensor::from(std::span<const double>(values), shape).to(dtype);
}

Variable leaf(const Tensor& value, SequenceMask mask) {
  return Variable(value, Variable::kRequiresGrad, std::move(mask));
}

Variable leaf_over_nan(const Tensor& value) {
  Variable x = leaf(value);
  x.bind(Tensor::empty(value.shape(), value.dtype()),
         Tensor::full(value.shape(), kNaN, value.dtype()));
  return x;
}

std::vector<double> to_doubles(const Tensor& x) {
  const Tensor wide = x.to(DType::kFloat64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

Tensor uniform(Random& random, const Shape& shape, double low, double high) {
  Tensor x = Tensor::empty(shape, DType::kFloat64);
  std::generate_n(x.data<double>(), x.numel(), [&] { return random.uniform(low, high); });
  return x;
}

Tensor bits(const std::vector<double>& values, const Shape& shape) {
  return make(values, shape, DType::kBool);
}

Tensor random_bits(Random& random, const Shape& shape, double share) {
  Tensor x = Tensor::empty(shape, DType::kBool);
  std::generate_n(x.data<bool>(), x.numel(), [&] { return random.uniform() < share; });
  return x;
}

double tolerance(DType dtype) { return dtype == DType::kFloat32 ? 3e-6 : 1e-14; }

::testing::AssertionResult is_close(const Tensor& actual, const std::vector<double>& expected,
                                    double tolerance) {
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

::testing::AssertionResult is_close(const Tensor& actual, const std::vector<double>& expected) {
  return is_close(actual, expected, tolerance(actual.dtype()));
}

::testing::AssertionResult same_bits(const Tensor& a, const Tensor& b) {
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
