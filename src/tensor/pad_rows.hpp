// Rows of any lengths as one tensor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// y[b, s] = row(b)[s], and `pad` behind the end of row b. int64 [count, S], where S is the length
/// of the longest row, and `least` at least. row(b), b = 0 .. count - 1, gives a span of int64, and
/// is called twice: no list of rows is made, which would take memory for every batch.
template <class Row>
Tensor pad_rows(std::int64_t count, std::int64_t pad, std::int64_t least, Row row) {
  std::int64_t length = least;
  for (std::int64_t b = 0; b < count; ++b) length = std::max(length, std::ssize(row(b)));
  Tensor y = Tensor::empty({count, length}, DType::kInt64);
  auto* to = y.data<std::int64_t>();
  for (std::int64_t b = 0; b < count; ++b, to += length) {
    const std::span<const std::int64_t> from = row(b);
    std::fill(std::copy(from.begin(), from.end(), to), to + length, pad);
  }
  return y;
}

}  // namespace maskgrad
