// Sums over queries for a head of keys, and for a bias. Internal to attention.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include <maskgrad/ops/cpu/attention/tiles.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad::ops {

/// Sums over queries, a row for each key. Tiles of queries are added to the rows one by one; groups
/// of them, where there are several, in a balanced binary tree of each chunk of keys. A group takes
/// time in proportion to the chunks that it touches.
template <class T>
class QuerySums {
 public:
  static constexpr std::int64_t kKeys = AttentionTiles::kKeys;  // of a chunk

  /// The sums go to out [keys][features].
  QuerySums(std::int64_t keys, std::int64_t features, bool has_groups, T* out)
      : keys_(keys), features_(features), out_(out) {
    const std::int64_t chunks = (keys + kKeys - 1) / kKeys;
    is_touched_.resize(static_cast<std::size_t>(chunks));
    if (!has_groups) return;
    trees_.reserve(static_cast<std::size_t>(chunks));
    for (std::int64_t c = 0; c < chunks; ++c) trees_.emplace_back(rows_of(c) * features);
  }

  /// The row of a key in the group at hand. The other rows of its chunk stand beside it.
  T* row(std::int64_t key) {
    const std::int64_t chunk = key / kKeys;
    T* const first = table_of(chunk);
    unsigned char& is_touched = is_touched_[static_cast<std::size_t>(chunk)];
    if (!is_touched) {
      std::fill_n(first, rows_of(chunk) * features_, T{});
      is_touched = 1;
      touched_.push_back(chunk);
    }
    return first + key % kKeys * features_;
  }
  void end_group(std::int64_t index) {
    if (trees_.empty()) return;
    for (const std::int64_t chunk : touched_) {
      trees_[static_cast<std::size_t>(chunk)].add(index);
      is_touched_[static_cast<std::size_t>(chunk)] = 0;
    }
    touched_.clear();
  }
  /// Sums over no queries are 0.
  void finish() {
    for (std::int64_t c = 0; c < std::ssize(is_touched_); ++c) {
      T* const to = out_ + c * kKeys * features_;
      if (!trees_.empty()) {
        trees_[static_cast<std::size_t>(c)].finish(to);
      } else if (!is_touched_[static_cast<std::size_t>(c)]) {
        std::fill_n(to, rows_of(c) * features_, T{});
      }
    }
  }

 private:
  std::int64_t rows_of(std::int64_t chunk) const { return std::min(kKeys, keys_ - chunk * kKeys); }
  T* table_of(std::int64_t chunk) {
    return trees_.empty() ? out_ + chunk * kKeys * features_
                          : trees_[static_cast<std::size_t>(chunk)].row();
  }

  const std::int64_t keys_, features_;
  T* const out_;
  PoolVector<unsigned char> is_touched_;  // of each chunk, by the group at hand
  PoolVector<std::int64_t> touched_;      // these chunks
  PoolVector<PairwiseSum<T>> trees_;      // of each chunk; none without groups
};

/// Sums of many terms that come in any shape, with what each addition rounded away (Kahan 1965).
/// Without `error` they are plain.
template <class T>
struct CompensatedSums {
  T* sum = nullptr;
  T* error = nullptr;

  explicit operator bool() const { return sum; }
  CompensatedSums from(std::int64_t i) const { return {sum + i, error ? error + i : nullptr}; }
  void add(std::int64_t i, T x) const {
    if (!error) {
      sum[i] += x;
      return;
    }
    const T term = x - error[i], total = sum[i] + term;
    const T lost = (total - sum[i]) - term;
    sum[i] = total;
    error[i] = std::abs(lost) < std::numeric_limits<T>::infinity() ? lost : T{};  // not of an Inf
  }
};

}  // namespace maskgrad::ops
