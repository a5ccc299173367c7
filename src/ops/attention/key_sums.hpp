// Sums over keys for a tile of queries. Internal to attention.
#pragma once

#include <algorithm>
#include <optional>

#include <maskgrad/ops/attention/problem.hpp>
#include <maskgrad/ops/attention/workspace.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>

namespace maskgrad::ops {

/// A table of sums. The chunks of a group of keys are added to it one by one, groups in a balanced
/// binary tree.
template <class T>
class KeySums {
 public:
  /// `size`: of the largest table.
  KeySums(const AttentionProblem& p, std::int64_t size, Workspace<T>& memory)
      : has_groups_(p.keys > AttentionTiles::kKeysOfGroup), table_(memory.take(size)) {}

  void start(std::int64_t size) {
    size_ = size;
    std::fill_n(table_, size, T{});
    tree_.reset();
    if (has_groups_) tree_.emplace(size);
  }
  /// The sums of the group at hand; after finish() all.
  T* data() { return table_; }
  /// The chunks of group `index` have all been added.
  void end_group(std::int64_t index) {
    if (!tree_) return;
    std::copy_n(table_, size_, tree_->row());
    tree_->add(index);
    std::fill_n(table_, size_, T{});
  }
  void finish() {
    if (tree_) tree_->finish(table_);
  }
  /// Calls f(table) for each table of which the sums consist so far.
  template <class F>
  void for_each_table(F f) {
    f(table_);
    if (tree_) tree_->for_each_partial(f);
  }

 private:
  const bool has_groups_;
  T* const table_;
  std::int64_t size_ = 0;
  std::optional<PairwiseSum<T>> tree_;
};

}  // namespace maskgrad::ops
