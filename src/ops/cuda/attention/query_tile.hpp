// The tile of queries that a block of threads has. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/chunks.hpp>

namespace maskgrad::ops::attention {

/// Queries of one head, and the chunks of keys that they see. A base of what computes something of
/// them.
template <class S>
class QueryTile {
  using T = typename S::T;

 protected:
  __device__ QueryTile(const Call<T>& call, const BlockMemory<T>& memory,
                       typename ChunksOfQueries<S>::Memory& chunks)
      : call_(call),
        sample_(memory.head() / call.heads),
        head_(memory.head() % call.heads),
        first_(memory.tile_from_end() * S::kLeft),
        queries_(smaller(S::kLeft, call.queries - first_)),
        feature_(static_cast<int>(blockIdx.z) * S::kWidth),
        chunks_(chunks, call.mask, call.mask.row(sample_, head_, first_), queries_) {}

  /// Calls add_chunk(key) for each chunk, `key` being its first. Sums are cut into groups of keys.
  template <class Sums, class F>
  __device__ void sum_over_chunks(Sums& sums, F add_chunk) {
    const int first_key = call_.first_key(sample_);
    chunks_.for_each(first_key, [&](int key) {
      sums.start_group((key - first_key) / static_cast<int>(AttentionTiles::kKeysOfGroup));
      add_chunk(key);
    });
    sums.finish();
  }
  /// Of all heads and queries, the number of the tile's first.
  __device__ std::int64_t first_row() const {
    return (sample_ * call_.heads + head_) * call_.queries + first_;
  }
  __device__ int keys_from(int key) const { return smaller(S::kRight, call_.keys - key); }

  const Call<T>& call_;
  const std::int64_t sample_, head_;
  const int first_, queries_, feature_;  // of the tile; of the features
  ChunksOfQueries<S> chunks_;
};

}  // namespace maskgrad::ops::attention
