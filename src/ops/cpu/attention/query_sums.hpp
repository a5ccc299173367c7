// Sums over queries for a head of keys, and for a bias. Internal to attention.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include <maskgrad/ops/cpu/attention/tiles.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad::ops {

/// Sums over queries, a row for each key. Tiles of queries are added to the rows one by one; groups
/// of them, where there are several, in a balanced binary tree of each chunk of keys. A group takes
/// time in proportion to the chunks that it touches. One object serves a task's heads in turn.
template <class T>
class QuerySums {
 public:
  static constexpr std::int64_t kKeys = AttentionTiles::kKeys;  // of a chunk

  QuerySums(std::int64_t keys, std::int64_t features, bool has_groups)
      : keys_(keys), features_(features), has_groups_(has_groups) {
    const auto chunks = static_cast<std::size_t>((keys + kKeys - 1) / kKeys);
    is_touched_.resize(chunks);
    if (!has_groups) return;
    touched_.reserve(chunks);
    trees_.reserve(chunks);
  }

  /// Begins a head's sums. They go to rows of `features` that begin at out, `stride` apart. Chunks
  /// begin at first_key, and no key before it is added to.
  void start(T* out, std::int64_t stride, std::int64_t first_key) {
    out_ = out;
    out_stride_ = stride;
    first_key_ = first_key;
    std::fill(is_touched_.begin(), is_touched_.end(), 0);
    touched_.clear();
    trees_.clear();
    if (!has_groups_) return;
    for (std::int64_t c = 0; rows_of(c) > 0; ++c) trees_.emplace_back(rows_of(c) * features_);
  }

  /// The row of a key in the group at hand. The other rows of its chunk stand beside it.
  T* row(std::int64_t key) {
    const std::int64_t chunk = (key - first_key_) / kKeys;
    T* const first = table_of(chunk);
    unsigned char& is_touched = is_touched_[static_cast<std::size_t>(chunk)];
    if (!is_touched) {
      fill_rows(first, rows_of(chunk));
      is_touched = 1;
      if (has_groups_) touched_.push_back(chunk);
    }
    return first + (key - first_key_) % kKeys * stride();
  }
  /// How far apart the rows of a chunk stand.
  std::int64_t stride() const { return has_groups_ ? features_ : out_stride_; }
  /// Adds x [count][features] to the rows from `key` on, which are of one chunk.
  void add_rows(const T* x, std::int64_t key, std::int64_t count) {
    T* const first = row(key);
    if (stride() == features_) return add_row(x, first, count * features_);
    for (std::int64_t i = 0; i < count; ++i) {
      add_row(x + i * features_, first + i * stride(), features_);
    }
  }
  void end_group(std::int64_t index) {
    if (!has_groups_) return;
    for (const std::int64_t chunk : touched_) {
      trees_[static_cast<std::size_t>(chunk)].add(index);
      is_touched_[static_cast<std::size_t>(chunk)] = 0;
    }
    touched_.clear();
  }
  /// Sums over no queries are 0.
  void finish() {
    for (std::int64_t t = 0; t < first_key_; ++t)
      std::fill_n(out_ + t * out_stride_, features_, T{});
    for (std::int64_t c = 0; rows_of(c) > 0; ++c) {
      T* const to = out_of(c);
      if (has_groups_) {
        finish_chunk(c, to);
      } else if (!is_touched_[static_cast<std::size_t>(c)]) {
        fill_rows(to, rows_of(c));
      }
    }
  }

 private:
  std::int64_t rows_of(std::int64_t chunk) const {
    return std::min(kKeys, keys_ - first_key_ - chunk * kKeys);
  }
  T* out_of(std::int64_t chunk) const { return out_ + (first_key_ + chunk * kKeys) * out_stride_; }
  T* table_of(std::int64_t chunk) {
    return has_groups_ ? trees_[static_cast<std::size_t>(chunk)].row() : out_of(chunk);
  }

  void fill_rows(T* first, std::int64_t count) const {
    if (stride() == features_) {
      std::fill_n(first, count * features_, T{});
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) std::fill_n(first + i * stride(), features_, T{});
  }
  void finish_chunk(std::int64_t chunk, T* to) {
    PairwiseSum<T>& tree = trees_[static_cast<std::size_t>(chunk)];
    if (out_stride_ == features_) return tree.finish(to);
    sums_.resize(static_cast<std::size_t>(kKeys * features_));
    tree.finish(sums_.data());
    for (std::int64_t i = 0; i < rows_of(chunk); ++i) {
      std::copy_n(sums_.data() + i * features_, features_, to + i * out_stride_);
    }
  }

  const std::int64_t keys_, features_;
  const bool has_groups_;
  T* out_ = nullptr;
  std::int64_t out_stride_ = 0, first_key_ = 0;
  PoolVector<unsigned char> is_touched_;  // of each chunk, by the group at hand
  PoolVector<std::int64_t> touched_;      // these chunks, where there are groups
  PoolVector<PairwiseSum<T>> trees_;      // of each chunk; none without groups
  PoolVector<T> sums_;                    // of a chunk, on their way to rows that stand apart
};

/// Sums of many terms that come in any shape, with what each addition rounded away (Kahan 1965).
/// Without `error` they are plain. A 0 is left out: added, it could move what was rounded away, and
/// which pairs that a mask leaves out come as 0 depends on where blocks end.
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
    if (x == T{}) return;
    const T term = x - error[i], total = sum[i] + term;
    const T lost = (total - sum[i]) - term;
    sum[i] = total;
    error[i] = std::abs(lost) < std::numeric_limits<T>::infinity() ? lost : T{};  // not of an Inf
  }
};

}  // namespace maskgrad::ops
