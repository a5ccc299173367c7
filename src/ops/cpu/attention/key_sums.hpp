// Sums over keys for a tile of queries. Internal to attention.
#pragma once

#include <algorithm>
#include <optional>

#include <maskgrad/ops/cpu/attention/workspace.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>

namespace maskgrad::ops {

/// A table of sums. The chunks of a group of keys are added to it one by one, groups in a balanced
/// binary tree, which is only there where several groups have chunks.
template <class T>
class KeySums {
 public:
  /// `size`: of the largest table.
  KeySums(std::int64_t size, Workspace<T>& memory) : table_(memory.take(size)) {}

  void start(std::int64_t size) {
    size_ = size;
    group_ = -1;
    std::fill_n(table_, size, T{});
    tree_.reset();
  }
  /// What follows is of group `index`, perhaps the one at hand; none before it follows any more.
  void start_group(std::int64_t index) {
    if (index != group_ && group_ >= 0) {
      put_into_tree();
      std::fill_n(table_, size_, T{});
    }
    group_ = index;
  }
  /// The sums of the group at hand; after finish() all.
  T* data() { return table_; }
  void finish() {
    if (!tree_) return;
    put_into_tree();
    tree_->finish(table_);
  }
  /// Calls f(table) for each table of which the sums consist so far.
  template <class F>
  void for_each_table(F f) {
    f(table_);
    if (tree_) tree_->for_each_partial(f);
  }

 private:
  void put_into_tree() {
    if (!tree_) tree_.emplace(size_);
    std::copy_n(table_, size_, tree_->row());
    tree_->add(group_);
  }

  T* const table_;
  std::int64_t size_ = 0, group_ = -1;
  std::optional<PairwiseSum<T>> tree_;
};

}  // namespace maskgrad::ops
