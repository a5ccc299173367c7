// The order of a long sum of products, the same for every number of rows, threads and padding.
// Internal to src/ops.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <maskgrad/ops/cpu/gemm/block_product.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// So many chains of terms are added one after another: a group.
inline constexpr std::int64_t kChainsOfGroup = 8;

/// The logarithm of the least power of two that is not below n. Sizes are powers of two, as
/// shifts take a tenth of the time of divisions: with them small products took 2% of a step more.
inline int log2_above(std::int64_t n) {
  return n <= 1 ? 0 : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n - 1)));
}
inline std::int64_t power_of_two(std::int64_t n) { return std::int64_t{1} << log2_above(n); }

/// A sum over `length` terms of each of `samples` samples, which lie one after another. A group has
/// 512 terms, of as many as sixteen samples, in chains of 64. Groups are added in a balanced binary
/// tree, first those of the same samples. Terms of 0 at the end of each sample change no bit.
class BatchSum {
 public:
  BatchSum(std::int64_t length) : BatchSum(1, length) {}
  BatchSum(std::int64_t samples, std::int64_t length)
      : samples_(samples),
        length_(length),
        log2_samples_(log2_above(std::min(samples, kMostSamples))),
        log2_terms_(kLog2Terms - log2_samples_),
        log2_groups_(log2_above(pieces(length, log2_terms_))) {}

  std::int64_t samples() const { return samples_; }
  std::int64_t terms() const { return samples_ * length_; }
  /// Groups have numbers below this; some of them may have no terms.
  std::int64_t groups() const { return pieces(samples_, log2_samples_) << log2_groups_; }
  /// Whether there is one chain at most.
  bool is_chain() const {
    return groups() <= 1 && length_ * kChainsOfGroup <= std::int64_t{1} << log2_terms_;
  }

  /// The terms of a group; `first` is the number of the first. No terms where there is no group.
  struct Group {
    std::int64_t first;
    Terms terms;

    /// Calls f(begin, end) for all terms, as many at once as lie side by side.
    template <class F>
    void for_each_run(F f) const {
      const bool is_one = terms.length() == terms.step();
      const std::int64_t length = terms.length() * (is_one ? terms.samples() : 1);
      for (std::int64_t i = 0; i < (is_one ? 1 : terms.samples()); ++i) {
        f(first + i * terms.step(), first + i * terms.step() + length);
      }
    }
  };
  Group group(std::int64_t number) const {
    const std::int64_t most_samples = std::int64_t{1} << log2_samples_,
                       most_terms = std::int64_t{1} << log2_terms_;
    const std::int64_t sample = number >> log2_groups_ << log2_samples_;
    const std::int64_t term = (number & ((std::int64_t{1} << log2_groups_) - 1)) << log2_terms_;
    const std::int64_t samples = std::clamp<std::int64_t>(samples_ - sample, 0, most_samples);
    const std::int64_t terms = std::clamp<std::int64_t>(length_ - term, 0, most_terms);
    return {sample * length_ + term, Terms(samples ? terms : 0, samples, length_)};
  }

 private:
  static constexpr std::int64_t kMostSamples = 16;
  static constexpr int kLog2Terms = 9;
  static_assert(kTermsOfChain * kChainsOfGroup == 1 << kLog2Terms);

  static std::int64_t pieces(std::int64_t whole, int log2_size) {
    return (whole + (std::int64_t{1} << log2_size) - 1) >> log2_size;
  }

  // Of a group: how many samples, and terms of each. `log2_groups_`: how many groups the same
  // samples have, some of them without terms, so that they are a subtree.
  std::int64_t samples_, length_;
  int log2_samples_, log2_terms_, log2_groups_;
};

/// So many sums are few: too few for threads to share them otherwise than by groups.
inline constexpr std::int64_t kFewSums = 1024;

/// Writes `size` sums: sum_group(group, to) writes those of one group. `work`: of all, as for
/// least_for(). Threads share the groups.
template <class T, class F>
void sum_groups(const BatchSum& sum, std::int64_t work, std::int64_t size, T* sums, F sum_group) {
  constexpr std::int64_t kMostParts = 32;  // whose sums take little memory
  const std::int64_t groups = sum.groups();
  if (groups == 1) return sum_group(sum.group(0), sums);
  const std::int64_t of_part = power_of_two((groups + kMostParts - 1) / kMostParts);
  const std::int64_t parts = (groups + of_part - 1) / of_part;
  Tensor partial = Tensor::empty({parts, size}, dtype_of<T>);
  T* const partials = partial.data<T>();
  const auto sum_part = [&](std::int64_t part) {
    if (of_part == 1) return sum_group(sum.group(part), partials + part * size);
    PairwiseSum<T> tree(size);
    for (std::int64_t i = 0; i < of_part; ++i) {
      const BatchSum::Group group = sum.group(part * of_part + i);
      if (group.terms.length() == 0) continue;
      sum_group(group, tree.row());
      tree.add(i);
    }
    tree.finish(partials + part * size);
  };
  parallel_for(parts, least_for(work / std::max<std::int64_t>(1, parts)),
               [&](std::int64_t part, std::int64_t end) {
                 for (; part < end; ++part) sum_part(part);
               });
  for (std::int64_t step = 1; step < parts; step *= 2) {
    for (std::int64_t part = 0; part + step < parts; part += 2 * step) {
      add_row(partials + (part + step) * size, partials + part * size, size);
    }
  }
  if (parts == 0) std::fill_n(sums, size, T{});
  if (parts > 0) copy_row(partials, sums, size);
}

}  // namespace maskgrad::ops
