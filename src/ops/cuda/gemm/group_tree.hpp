// The sums of groups, added in a tree. For `.cu` files. Internal to src/ops.
#pragma once

#include <bit>
#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops::cuda_gemm {

/// The number of this thread in its block, and how many there are.
__device__ inline int thread_of_block() {
  return static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
}
__device__ inline int threads_of_block() { return static_cast<int>(blockDim.x * blockDim.y); }

/// Adds `count` sums of each of many groups in a tree of the groups' numbers, as PairwiseSum does.
/// The threads of a block share the sums: element e is always the same thread's.
template <class T>
class GroupTree {
 public:
  /// `levels`: memory for the block, count numbers for each level of the tree.
  __device__ GroupTree(T* levels, int count) : levels_(levels), count_(count) {}

  /// Adds sums(e) of the next group, or nothing where it has no terms. Overwrites them.
  template <class Sums>
  __device__ void add(bool has_terms, Sums sums) {
    const int top = std::countr_one(groups_++);  // the level of the tree that becomes whole
    if (!fold(top, has_terms, sums)) return;
    T* const to = levels_ + top * count_;
    for_each([&](int e) { to[e] = sums(e); });
    live_ |= 1U << top;
  }
  /// sums(e) = the sums over all groups.
  template <class Sums>
  __device__ void finish(Sums sums) {
    if (!fold(32, false, sums)) for_each([&](int e) { sums(e) = 0; });
  }

 private:
  template <class F>
  __device__ void for_each(F f) const {
    for (int e = thread_of_block(); e < count_; e += threads_of_block()) f(e);
  }
  // Adds the levels below `top` to the sums, if these are some, the lowest first. Returns whether
  // they are some then.
  template <class Sums>
  __device__ bool fold(int top, bool are_some, Sums sums) {
    for (int level = 0; level < top; ++level) {
      if (!(live_ >> level & 1)) continue;
      live_ &= ~(1U << level);
      const T* const from = levels_ + level * count_;
      for_each([&](int e) { sums(e) = are_some ? sums(e) + from[e] : from[e]; });
      are_some = true;
    }
    return are_some;
  }

  T* levels_;
  int count_;
  unsigned groups_ = 0, live_ = 0;  // so far; which levels hold sums
};

}  // namespace maskgrad::ops::cuda_gemm
