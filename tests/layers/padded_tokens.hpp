// Tokens of every kind of sequence, for tests of what padding may not change.
#pragma once

#include <algorithm>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::test {

constexpr std::int64_t kVocabulary = 7, kLength = 4;

/// Tokens [3, kLength + extra] with padding behind, a hole within, and a sample of nothing but
/// padding; then `extra` more of it.
inline Variable padded_tokens(std::int64_t extra = 0) {
  const std::int64_t rows[3][kLength] = {{1, 2, 3, 0}, {4, 0, 5, 6}, {0, 0, 0, 0}};
  Tensor ids = Tensor::zeros({3, kLength + extra}, DType::kInt64);
  for (std::int64_t b = 0; b < 3; ++b) {
    std::copy_n(rows[b], kLength, ids.data<std::int64_t>() + b * (kLength + extra));
  }
  return Variable(ids);
}

}  // namespace maskgrad::test
