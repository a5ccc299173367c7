// The chunks of keys that a tile of queries sees. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/call.hpp>

namespace maskgrad::ops::attention {

/// Of a tile whose left rows are queries and whose right rows are a chunk of keys. The first
/// threads have a query each.
template <class S>
class ChunksOfQueries {
 public:
  struct Memory {
    KeptPairs<S::kLeft, S::kRight> kept;
    int begin[S::kLeft], end[S::kLeft];  // of the keys of each query
  };

  __device__ ChunksOfQueries(Memory& m, const MaskRows& mask, std::int64_t first_row, int queries)
      : shared_(m) {
    const int query = shared_.kept.own_query();
    if (query < queries) own_ = KeptKeys(mask, first_row + query);
    if (!has_query()) return;
    shared_.begin[query] = own_.end() > 0 ? own_.begin() : mask.keys;
    shared_.end[query] = own_.end();
  }

  /// Calls f(key) for each chunk of which some pair is kept, `key` being its first. Chunks begin at
  /// first_key, before which no key is kept. Begins with a barrier, and there is one before each f.
  template <class F>
  __device__ void for_each(int first_key, F f) {
    __syncthreads();
    int begin = shared_.begin[0], end = shared_.end[0];
    for (int query = 1; query < S::kLeft; ++query) {
      begin = smaller(begin, shared_.begin[query]);
      end = larger(end, shared_.end[query]);
    }
    begin = larger(begin, first_key);
    constexpr int kKeys = S::kRight;
    for (int key = first_key + (begin - first_key) / kKeys * kKeys; key < end; key += kKeys) {
      if (shared_.kept.find(own_, key)) f(key);
    }
  }
  /// Whether a pair of the chunk is kept. In f, behind a barrier.
  __device__ bool keeps(int query, int of_chunk) const {
    return shared_.kept.keeps(query, of_chunk);
  }
  /// The same for this thread's right rows, a bit for each.
  __device__ std::uint32_t kept_of(int query) const {
    return shared_.kept.from(query, S::column());
  }

  __device__ static int thread() { return static_cast<int>(threadIdx.x); }
  /// Whether this thread has a query: that of its number.
  __device__ static bool has_query() { return thread() < S::kLeft; }

 private:
  Memory& shared_;
  KeptKeys own_;
};

}  // namespace maskgrad::ops::attention
