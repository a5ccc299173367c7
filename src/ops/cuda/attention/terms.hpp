// Sums of products of which some terms may be left out. For `.cu` files. Internal to attention.
#pragma once

#include <cstdint>

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops::attention {

/// The sum of terms a_i x_i of one thread, i in order: those of a chain of 64 one after another,
/// the eight chains of a group too, and groups in a balanced binary tree. What does not come is 0
/// and changes no bit.
template <class T>
class SumOfTerms {
 public:
  /// Requires i above all before.
  __device__ void add(std::int64_t i, T a, T x) {
    if (i / kChain != at_ / kChain) end_chain();
    while (groups_ < i / kGroup) end_group();
    at_ = i;
    chain_ = math::multiply_add(a, x, chain_);
  }
  __device__ T finish() {
    end_chain();
    end_group();
    T sum = 0;
    for (int level = 0; groups_ >> level; ++level) {
      if (groups_ >> level & 1) sum = levels_[level] + sum;
    }
    return sum;
  }

 private:
  static constexpr int kChain = 64, kGroup = 8 * kChain;

  __device__ void end_chain() {
    group_ += chain_;
    chain_ = 0;
  }
  // Level k holds the sum of 2^k groups where bit k of their number is set.
  __device__ void end_group() {
    int level = 0;
    for (; groups_ >> level & 1; ++level) group_ = levels_[level] + group_;
    levels_[level] = group_;
    group_ = 0;
    ++groups_;
  }

  T levels_[40];
  T chain_ = 0, group_ = 0;
  std::int64_t at_ = 0, groups_ = 0;
};

}  // namespace maskgrad::ops::attention
