// Functors of fill_where() and map_each() that the library does not have.
#pragma once

#include <cstdint>

namespace maskgrad::test {

/// With a kernel, in test_kernels.cu.
struct Stripes {
  std::int64_t width;
  constexpr bool fills(std::int64_t i, std::int64_t j) const { return (i + j) / width % 2 == 1; }
};

/// Without one.
struct Nothing {
  constexpr bool fills(std::int64_t, std::int64_t) const { return false; }
};

/// a (b - 1) where b < limit, else a / 3. No product is added to anything. With a kernel.
struct Bent {
  double limit;
  template <class E>
  constexpr E operator()(const E& a, const E& b) const {
    return select(b < limit, a * (b - 1), a / 3);
  }
};
/// Its gradients. With kernels.
struct BentByA {
  double limit;
  template <class E>
  constexpr E operator()(const E&, const E& b, const E& g) const {
    return select(b < limit, g * (b - 1), g / 3);
  }
};
struct BentByB {
  double limit;
  template <class E>
  constexpr E operator()(const E& a, const E& b, const E& g) const {
    return select(b < limit, g * a, 0 * g);
  }
};

/// All functions of Elements in one sum. With a kernel.
struct EachFunction {
  template <class E>
  constexpr E operator()(const E& x) const {
    E sum = exp(x) + log(2 + abs(x)) + sqrt(abs(x)) + tanh(x);
    sum += erf(x) - sigmoid(x) + softplus(x);
    sum -= min(x, 1 - x) + max(-x, x * x);
    return select(x <= 0 || x > 4, 1 / sum, sum);
  }
};

}  // namespace maskgrad::test
