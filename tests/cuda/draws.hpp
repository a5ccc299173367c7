// Values that tests draw.
#pragma once

#include <algorithm>

#include <gtest/gtest.h>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// A fixture that draws the same values in each run. Base: of a test with parameters,
/// TestWithParam.
template <class Base = ::testing::Test>
class Draws : public Base {
 protected:
  /// float64, uniform in [-2, 2).
  Tensor draw(const Shape& shape) { return uniform(random_, shape); }
  /// int64 in 0 .. below-1.
  Tensor draw_indices(const Shape& shape, std::int64_t below) {
    Tensor indices = Tensor::empty(shape, DType::kInt64);
    std::generate_n(indices.data<std::int64_t>(), indices.numel(),
                    [&] { return random_.integer(0, below - 1); });
    return indices;
  }
  Tensor draw_bits(const Shape& shape) { return random_bits(random_, shape); }

  Random random_{5};
};

}  // namespace maskgrad::test
