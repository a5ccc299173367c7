#include <maskgrad/tensor/pad_rows.hpp>
#include <maskgrad/train/data/pad_tokens.hpp>

namespace maskgrad {

Tensor pad_tokens(std::span<const std::vector<std::int64_t>> sequences, std::int64_t pad) {
  const auto row = [&](std::int64_t b) {
    return std::span<const std::int64_t>(sequences[static_cast<std::size_t>(b)]);
  };
  return pad_rows(std::ssize(sequences), pad, 0, row);
}

}  // namespace maskgrad
