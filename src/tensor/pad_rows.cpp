#include <algorithm>

#include <maskgrad/tensor/pad_rows.hpp>

namespace maskgrad {

Tensor pad_rows(std::span<const std::span<const std::int64_t>> rows, std::int64_t pad,
                std::int64_t least) {
  std::int64_t length = least;
  for (const auto& row : rows) length = std::max(length, std::ssize(row));
  Tensor y = Tensor::empty({std::ssize(rows), length}, DType::kInt64);
  auto* to = y.data<std::int64_t>();
  for (const auto& row : rows) {
    auto* const end = std::copy(row.begin(), row.end(), to);
    to += length;
    std::fill(end, to, pad);
  }
  return y;
}

}  // namespace maskgrad
