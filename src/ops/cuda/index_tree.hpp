// Parts of a result that come one after another, combined in a balanced tree of their indices: the
// order of PairwiseSum. For `.cu` files. Internal to src/ops.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {

namespace detail {

inline constexpr int kLevelsOfTree = 40;

// What comes of 2^k parts waits at level k, where bit k of their number is set. `number`: how many
// parts are there already. level_at(k) is the place of level k.
template <class T, class Level, class Combine>
__device__ void add_to_tree(std::int64_t number, T part, Level level_at, Combine combine) {
  int level = 0;
  for (; number >> level & 1; ++level) part = combine(level_at(level), part);
  level_at(level) = part;
}
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

}  // namespace detail

/// The tree of one thread. combine(a, b) is given a before b.
template <class T>
class IndexTree {
 public:
  template <class Combine>
  __device__ void add(T part, Combine combine) {
    detail::add_to_tree(
        number_++, part, [this](int k) -> T& { return levels_[k]; }, combine);
  }
  /// What comes of all parts; `nothing` of none.
  template <class Combine>
  __device__ T total(T nothing, Combine combine) {
    const auto level_at = [this](int k) -> T& { return levels_[k]; };
    return detail::total_of_tree(number_, nothing, level_at, combine);
  }
  /// Of parts so far.
  __device__ std::int64_t number() const { return number_; }

 private:
  T levels_[detail::kLevelsOfTree];
  std::int64_t number_ = 0;
};

/// What adds, for trees of sums.
struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

}  // namespace maskgrad::ops
