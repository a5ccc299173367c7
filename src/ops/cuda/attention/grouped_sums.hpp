// Long sums, cut into groups. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/tree_sums.hpp>

namespace maskgrad::ops::attention {

/// n sums of each thread. What is added to a group is added one by one; groups, where there are
/// several, in a balanced tree of their indices.
template <class T, int n>
class GroupedSums {
 public:
  /// Numbers of memory that a block of `threads` takes where `groups` may come.
  static std::int64_t memory(std::int64_t groups, int threads) {
    return groups > 1 ? TreeSums<T, n>::memory(groups, threads) : 0;
  }

  /// memory: of the block.
  __device__ explicit GroupedSums(T* memory) : tree_(memory) { clear(); }

  /// What follows is of group `index`, perhaps the one at hand; none before it follows any more.
  __device__ void start_group(int index) {
    if (group_ >= 0 && index != group_) {
      put_into_tree();
      clear();
    }
    group_ = index;
  }
  /// The sums of the group at hand; after finish() all.
  using Numbers = T[n];
  __device__ Numbers& numbers() { return sums_; }
  __device__ void finish() {
    if (!has_tree_) return;
    put_into_tree();
    tree_.finish(sums_);
  }
  /// Calls f(i, number) for number i of the group at hand and of each partial sum of groups, i as a
  /// constant.
  template <class F>
  __device__ void for_each(F f) {
    detail::unrolled<n>([&](auto i) MASKGRAD_INLINE { f(i, sums_[i]); });
    if (has_tree_) tree_.for_each_partial(f);
  }

 private:
  __device__ void clear() {
    detail::unrolled<n>([&](auto i) MASKGRAD_INLINE { sums_[i] = 0; });
  }
  __device__ void put_into_tree() {
    tree_.add(static_cast<std::uint32_t>(group_), sums_);
    has_tree_ = true;
  }

  T sums_[n];
  TreeSums<T, n> tree_;
  int group_ = -1;
  bool has_tree_ = false;
};

}  // namespace maskgrad::ops::attention
