// The order of a long sum of products, the same for every number of rows, threads and padding, on
// the CPU and on a GPU. Internal to src/ops.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace maskgrad::ops {

/// So many terms make a chain: each is added to the sum of those before, in a register. The sums of
/// chains are added to each other one by one. Whoever has more than some chains adds their sums in
/// a tree (sum_products() does).
inline constexpr std::int64_t kTermsOfChain = 64;

/// The terms of an inner dimension: the first `length` of each of some samples, which begin `step`
/// terms apart. A chain takes some terms of all samples, so that a longer sample changes the order
/// of no sum.
class Terms {
 public:
  constexpr Terms(std::int64_t length) : Terms(length, 1, 0) {}
  constexpr Terms(std::int64_t length, std::int64_t samples, std::int64_t step)
      : length_(length), samples_(samples), step_(step) {}

  constexpr std::int64_t length() const { return length_; }
  constexpr std::int64_t samples() const { return samples_; }
  constexpr std::int64_t step() const { return step_; }
  /// How many terms of each sample a chain has.
  constexpr std::int64_t of_chain() const { return of_chain(samples_); }
  static constexpr std::int64_t of_chain(std::int64_t samples) {
    return kTermsOfChain >>
           std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(samples, 1) - 1));
  }

 private:
  std::int64_t length_, samples_, step_;
};

/// So many chains of terms are added one after another: a group.
inline constexpr std::int64_t kChainsOfGroup = 8;

/// The logarithm of the least power of two that is not below n. Sizes are powers of two, as
/// shifts take a tenth of the time of divisions: with them small products took 2% of a step more.
constexpr int log2_above(std::int64_t n) {
  return n <= 1 ? 0 : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n - 1)));
}
constexpr std::int64_t power_of_two(std::int64_t n) { return std::int64_t{1} << log2_above(n); }

/// A sum over `length` terms of each of `samples` samples, which lie one after another. A group has
/// 512 terms, of as many as sixteen samples, in chains of 64. Groups are added in a balanced binary
/// tree, first those of the same samples. Terms of 0 at the end of each sample change no bit.
class BatchSum {
 public:
  constexpr BatchSum(std::int64_t length) : BatchSum(1, length) {}
  constexpr BatchSum(std::int64_t samples, std::int64_t length)
      : samples_(samples),
        length_(length),
        log2_samples_(log2_above(std::min(samples, kMostSamples))),
        log2_terms_(kLog2Terms - log2_samples_),
        log2_groups_(log2_above(pieces(length, log2_terms_))) {}

  constexpr std::int64_t samples() const { return samples_; }
  constexpr std::int64_t terms() const { return samples_ * length_; }
  /// Groups have numbers below this; some of them may have no terms.
  constexpr std::int64_t groups() const { return pieces(samples_, log2_samples_) << log2_groups_; }
  /// Whether there is one chain at most.
  constexpr bool is_chain() const {
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
  constexpr Group group(std::int64_t number) const {
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

  static constexpr std::int64_t pieces(std::int64_t whole, int log2_size) {
    return (whole + (std::int64_t{1} << log2_size) - 1) >> log2_size;
  }

  // Of a group: how many samples, and terms of each. `log2_groups_`: how many groups the same
  // samples have, some of them without terms, so that they are a subtree.
  std::int64_t samples_, length_;
  int log2_samples_, log2_terms_, log2_groups_;
};

}  // namespace maskgrad::ops
