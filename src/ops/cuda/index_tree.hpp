// Parts of a sum that come one after another, combined in a balanced tree of their indices: the
// order of PairwiseSum. For `.cu` files. Internal to src/ops.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {

/// What comes of 2^k parts waits at level k, where bit k of their number is set.
inline constexpr int kLevelsOfTree = 40;

/// Adds a part. number: how many are in the tree already. level_at(k): the memory of level k.
/// combine(a, b): a stands before b.
template <class T, class Level, class Combine>
__device__ void add_to_tree(std::int64_t number, T part, Level level_at, Combine combine) {
  int level = 0;
  for (; number >> level & 1; ++level) part = combine(level_at(level), part);
  level_at(level) = part;
}

/// What comes of all `number` parts; `nothing` of none.
template <class T, class Level, class Combine>
__device__ T total_of_tree(std::int64_t number, T nothing, Level level_at, Combine combine) {
  T total = nothing;
  bool is_first = true;
  for (int level = 0; number >> level != 0; ++level) {
    if (!(number >> level & 1)) continue;
    const T sum = level_at(level);
    total = is_first ? sum : combine(sum, total);
    is_first = false;
  }
  return total;
}

/// The sums of one thread.
template <class T>
class SumsInTree {
 public:
  __device__ void add(T sum) { add_to_tree(number_++, sum, level_at(), plus); }
  /// 0 over none.
  __device__ T total() { return total_of_tree(number_, T{0}, level_at(), plus); }
  /// How many were added.
  __device__ std::int64_t number() const { return number_; }

 private:
  __device__ static T plus(T a, T b) { return a + b; }
  __device__ auto level_at() {
    return [this](int level) -> T& { return levels_[level]; };
  }

  T levels_[kLevelsOfTree];
  std::int64_t number_ = 0;
};

}  // namespace maskgrad::ops
