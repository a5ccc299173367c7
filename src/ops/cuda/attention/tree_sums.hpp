// Balanced trees of sums, each thread's own. For `.cu` files. Internal to attention.
#pragma once

#include <cstdint>

#include <maskgrad/ops/functors/unrolled.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops::attention {

/// Adds rows of n numbers of a thread in the order of a PairwiseSum (tensor/cpu/pairwise_sum.hpp).
/// All threads of a block do so at once.
template <class T, int n>
class TreeSums {
 public:
  /// Numbers of memory that a block of `threads` takes for `rows` rows.
  static std::int64_t memory(std::int64_t rows, int threads) {
    std::int64_t levels = 1;
    while (std::int64_t{1} << (levels - 1) < rows) ++levels;
    return levels * n * threads;
  }

  /// memory: of the block.
  __device__ explicit TreeSums(T* memory) : memory_(memory + threadIdx.x) {}

  /// Adds a row, which is used up. Requires an index above all before. One that is left out counts
  /// as a row of 0.
  __device__ void add(std::uint32_t index, T (&row)[n]) {
    fold_up_to(index);
    int level = 0;
    for (; (count_ ^ (count_ + 1)) >> level > 1; ++level) {
      if (is_live(level)) add_level(level, row);
    }
    ++count_;
    live_ = live_ >> level << level | 1u << level;
    detail::unrolled<n>([&](auto i) MASKGRAD_INLINE { at(level, i) = row[i]; });
  }
  /// The sum, which is 0 over no rows. Must be the last call.
  __device__ void finish(T (&row)[n]) {
    std::uint32_t all = 1;
    while (all < count_) all *= 2;
    if (count_ > 0) fold_up_to(all);
    detail::unrolled<n>([&](auto i) MASKGRAD_INLINE { row[i] = 0; });
    for (int level = 0; live_ >> level; ++level) {
      if (!is_live(level)) continue;
      detail::unrolled<n>([&](auto i) MASKGRAD_INLINE { row[i] = at(level, i); });
    }
  }
  /// Calls f(i, number) for number i of each partial sum, i as a constant.
  template <class F>
  __device__ void for_each_partial(F f) {
    for (int level = 0; live_ >> level; ++level) {
      if (!is_live(level)) continue;
      detail::unrolled<n>([&](auto i) MASKGRAD_INLINE { f(i, at(level, i)); });
    }
  }

 private:
  __device__ bool is_live(int level) const { return live_ >> level & 1; }
  // Of one number the levels of all threads stand side by side.
  __device__ T& at(int level, int i) {
    return memory_[static_cast<unsigned>(level * n + i) * blockDim.x];
  }

  __device__ void add_level(int level, T (&row)[n]) {
    detail::unrolled<n>([&](auto i) MASKGRAD_INLINE { row[i] += at(level, i); });
  }
  // The levels below the highest bit that changes become one, the smallest first.
  __device__ void fold_up_to(std::uint32_t count) {
    int from = -1, level = 0;
    for (; (count_ ^ count) >> level > 1; ++level) {
      if (!is_live(level)) continue;
      for (int i = 0; from >= 0 && i < n; ++i) at(level, i) += at(from, i);
      from = level;
    }
    count_ = count;
    if (from < 0) return;
    for (int i = 0; i < n; ++i) at(level, i) = at(from, i);
    live_ = live_ >> level << level | 1u << level;
  }

  T* const memory_;
  std::uint32_t count_ = 0, live_ = 0;  // rows so far; the levels that hold a sum
};

}  // namespace maskgrad::ops::attention
