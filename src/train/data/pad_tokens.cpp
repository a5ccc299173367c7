#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/pad_rows.hpp>
#include <maskgrad/train/data/pad_tokens.hpp>

namespace maskgrad {

Tensor pad_tokens(std::span<const std::vector<std::int64_t>> sequences, std::int64_t pad) {
  const PoolVector<std::span<const std::int64_t>> rows(sequences.begin(), sequences.end());
  return pad_rows(rows, pad);
}

}  // namespace maskgrad
