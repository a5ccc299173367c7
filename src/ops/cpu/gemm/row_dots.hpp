// One row times each of some rows. Internal to src/ops.
#pragma once

#include <cstdint>

namespace maskgrad::ops {

/// to[j] = sum over p of a[p] b[j * stride + p], p < k, for j < count, in the order that all
/// products have (BatchSum). Whole vectors of `to` are written. T is float or double.
template <class T>
void dot_rows(const T* a, const T* b, std::int64_t stride, std::int64_t count, std::int64_t k,
              T* to);

}  // namespace maskgrad::ops
