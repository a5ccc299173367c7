// The order of a long sum of products, the same for every number of rows, threads and padding.
// Internal to src/ops.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <maskgrad/ops/block_product.hpp>
#include <maskgrad/ops/vector.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// So many chains of terms are added one after another: a group.
inline constexpr std::int64_t kChainsOfGroup = 8;

/// The least power of two that is not below n.
inline std::int64_t power_of_two(std::int64_t n) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(n)));
}

/// A sum over `length` terms of each of `samples` samples, which lie one after another. A group has
/// 512 terms, of as many as sixteen samples, in chains of 64. Groups are added in a balanced binary
/// tree, first those of the same samples. Terms of 0 at the end of each sample change no bit.
class BatchSum {
 public:
  BatchSum(std::int64_t length) : BatchSum(1, length) {}
  BatchSum(std::int64_t samples, std::int64_t length)
      : samples_(samples),
        length_(length),
        samples_of_group_(power_of_two(std::clamp<std::int64_t>(samples, 1, kMostSamples))),
        terms_of_group_(Terms::of_chain(samples_of_group_) * kChainsOfGroup) {}

  std::int64_t samples() const { return samples_; }
  std::int64_t terms() const { return samples_ * length_; }
  /// Groups have numbers below this; some of them may have no terms.
  std::int64_t groups() const { return pieces(samples_, samples_of_group_) * groups_of_samples(); }
  /// Whether there is one chain at most.
  bool is_chain() const { return groups() <= 1 && length_ <= Terms::of_chain(samples_of_group_); }

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
    const std::int64_t sample = number / groups_of_samples() * samples_of_group_;
    const std::int64_t term = number % groups_of_samples() * terms_of_group_;
    const std::int64_t samples = std::clamp<std::int64_t>(samples_ - sample, 0, samples_of_group_);
    const std::int64_t terms = std::clamp<std::int64_t>(length_ - term, 0, terms_of_group_);
    return {sample * length_ + term, Terms(samples ? terms : 0, samples, length_)};
  }

 private:
  static constexpr std::int64_t kMostSamples = 16;

  static std::int64_t pieces(std::int64_t whole, std::int64_t size) {
    return (whole + size - 1) / size;
  }
  // A power of two: the groups of the same samples are a subtree.
  std::int64_t groups_of_samples() const { return power_of_two(pieces(length_, terms_of_group_)); }

  std::int64_t samples_, length_, samples_of_group_, terms_of_group_;
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
