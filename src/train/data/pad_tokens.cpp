#include <algorithm>

#include <maskgrad/train/data/pad_tokens.hpp>

namespace maskgrad {

Tensor pad_tokens(std::span<const std::vector<std::int64_t>> sequences, std::int64_t pad) {
  std::int64_t length = 0;
  for (const auto& sequence : sequences) length = std::max(length, std::ssize(sequence));
  Tensor y = Tensor::full({std::ssize(sequences), length}, pad, DType::kInt64);
  auto* row = y.data<std::int64_t>();
  for (const auto& sequence : sequences) {
    std::ranges::copy(sequence, row);
    row += length;
  }
  return y;
}

}  // namespace maskgrad
