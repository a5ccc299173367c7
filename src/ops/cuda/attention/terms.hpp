// Sums of products of which some terms may be left out. For `.cu` files. Internal to attention.
#pragma once

#include <cstdint>

#include <maskgrad/ops/cpu/gemm/sum_order.hpp>
#include <maskgrad/ops/cuda/index_tree.hpp>
#include <maskgrad/ops/functors/element.hpp>

namespace maskgrad::ops::attention {

/// The sum of terms a_i x_i of one thread, i in order: those of a chain of 64 one after another,
/// the eight chains of a group too, and groups in a balanced binary tree. What does not come is 0
/// and changes no bit.
template <class T>
class SumOfTerms {
 public:
  /// Requires i above all before.
  __device__ void add(std::int64_t i, T a, T x) {
    if (i / kTermsOfChain != at_ / kTermsOfChain) end_chain();
    while (groups_.number() < i / kGroup) end_group();
    at_ = i;
    chain_ = math::multiply_add(a, x, chain_);
  }
  __device__ T finish() {
    end_chain();
    end_group();
    return groups_.total(T{0}, Plus());
  }

 private:
  static constexpr std::int64_t kGroup = kChainsOfGroup * kTermsOfChain;

  __device__ void end_chain() {
    group_ += chain_;
    chain_ = 0;
  }
  __device__ void end_group() {
    groups_.add(group_, Plus());
    group_ = 0;
  }

  IndexTree<T> groups_;
  T chain_ = 0, group_ = 0;
  std::int64_t at_ = 0;
};

}  // namespace maskgrad::ops::attention
