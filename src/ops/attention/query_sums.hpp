// Sums over queries for a head of keys, and for a bias. Internal to attention.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <maskgrad/tensor/cpu/pairwise_sum.hpp>

namespace maskgrad::ops {

/// A table with a row for each key. Tiles of queries are added to it one by one; groups of them are
/// added in a balanced binary tree, where there are several.
template <class T>
class QuerySums {
 public:
  /// The sums go to out [keys][features].
  QuerySums(std::int64_t keys, std::int64_t features, bool has_groups, T* out)
      : keys_(keys), features_(features), out_(out) {
    if (has_groups) tree_.emplace(keys * features);
    start_group();
  }

  /// What the tiles of this group add to, once zero_until() has been there.
  T* data() { return table_; }
  /// Just before a tile adds to rows below `end`, while they are in cache.
  void zero_until(std::int64_t end) {
    if (end <= zeroed_) return;
    std::fill(table_ + zeroed_ * features_, table_ + end * features_, T{});
    zeroed_ = end;
  }
  void end_group(std::int64_t index) {
    zero_until(keys_);
    if (!tree_) return;
    tree_->add(index);
    start_group();
  }
  /// Sums over no queries are 0.
  void finish() {
    if (tree_) return tree_->finish(out_);
    zero_until(keys_);
  }

 private:
  void start_group() {
    table_ = tree_ ? tree_->row() : out_;
    zeroed_ = 0;
  }

  const std::int64_t keys_, features_;
  T* const out_;
  T* table_ = nullptr;
  std::int64_t zeroed_ = 0;  // rows
  std::optional<PairwiseSum<T>> tree_;
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
