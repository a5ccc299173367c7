// Rows computed in double, a vector of doubles at a time. Internal to src/ops.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include <maskgrad/ops/cpu/rows/row_kernels.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>

namespace maskgrad::ops {

using Wide = Vec<double>;
inline constexpr std::int64_t kWide = kLanes<double>;

namespace detail {

// As many T as a Wide has doubles.
template <class T>
struct NarrowOf {
  using Type [[gnu::vector_size(kWide * sizeof(T))]] = T;
};

}  // namespace detail

/// A vector of elements in double, and back.
template <class T>
[[gnu::always_inline]] inline Wide load_wide(const T* from) {
  typename detail::NarrowOf<T>::Type part;
  std::memcpy(&part, from, sizeof part);
  using Doubles = typename detail::NarrowOf<double>::Type;
  return Wide(std::bit_cast<Wide::register_type>(__builtin_convertvector(part, Doubles)));
}
template <class T>
[[gnu::always_inline]] inline void store_wide(const Wide& x, T* to) {
  using Doubles = typename detail::NarrowOf<double>::Type;
  const auto part =
      __builtin_convertvector(std::bit_cast<Doubles>(x.data), typename detail::NarrowOf<T>::Type);
  std::memcpy(to, &part, sizeof part);
}

/// A vector of elements that all count.
struct AllOfWide {
  template <class T>
  [[gnu::always_inline]] Wide load(const T* from) const {
    return load_wide(from);
  }
  template <class T>
  [[gnu::always_inline]] void store(const Wide& x, T* to) const {
    store_wide(x, to);
  }
  [[gnu::always_inline]] Wide only(const Wide& x) const { return x; }
};

/// A vector of elements, or those that a row ends with, of which some count.
class SomeOfWide {
 public:
  /// keep: nullptr where all `count` count.
  SomeOfWide(const bool* keep, std::int64_t count) : count_(count) {
    for (std::int64_t i = 0; i < count; ++i) keep_[at(i)] = !keep || keep[i];
  }

  /// 0 where nothing counts.
  template <class T>
  Wide load(const T* from) const {
    std::array<T, Wide::size> x{};
    for (std::int64_t i = 0; i < count_; ++i) x[at(i)] = keep_[at(i)] ? from[i] : T{};
    return load_wide(x.data());
  }
  template <class T>
  void store(const Wide& x, T* to) const {
    std::array<T, Wide::size> all;
    store_wide(x, all.data());
    for (std::int64_t i = 0; i < count_; ++i) to[i] = keep_[at(i)] ? all[at(i)] : T{};
  }
  /// x with 0 where nothing counts.
  Wide only(const Wide& x) const {
    std::array<double, Wide::size> all;
    store_wide(x, all.data());
    return load(all.data());
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  std::array<bool, Wide::size> keep_{};
  std::int64_t count_;
};

namespace detail {

/// So many vectors hold the sixteen sums of sum_terms().
inline constexpr int kWidesOfTerms = static_cast<int>(kLanesOfTerms / kWide);

// Calls f(first element, which count, number of the vector among those of its sixteen elements) for
// elements [begin, end) of a row.
template <class F>
[[gnu::always_inline]] inline void for_each_wide(std::int64_t begin, std::int64_t end,
                                                 const bool* keep, F f) {
  std::int64_t j = begin;
  constexpr std::int64_t kStep = kWidesOfTerms * kWide;
  if (!keep) {
    for (; j + kStep <= end; j += kStep) {
      unrolled<kWidesOfTerms>([&](auto p) MASKGRAD_INLINE { f(j + p * kWide, AllOfWide(), p); });
    }
  }
  for (; j < end; j += kStep) {
    unrolled<kWidesOfTerms>([&](auto p) MASKGRAD_INLINE {
      const std::int64_t first = j + p * kWide,
                         count = std::clamp(end - first, std::int64_t{0}, kWide);
      f(first, SomeOfWide(keep ? keep + first : nullptr, count), p);
    });
  }
}

}  // namespace detail

/// Calls f(first element, which count) for all vectors of a row of n. keep: which elements of the
/// row count; nullptr: all.
template <class F>
[[gnu::always_inline]] inline void for_each_wide(std::int64_t n, const bool* keep, F f) {
  detail::for_each_wide(
      0, n, keep, [&](std::int64_t j, const auto& which, auto) MASKGRAD_INLINE { f(j, which); });
}

namespace detail {

// Several sums, of sixteen lanes each.
template <int kSums>
using LanesOfSums = Wide[kWidesOfTerms][kSums];

// The lanes of sums over elements [begin, end).
template <int kSums, class Add>
[[gnu::always_inline]] inline void sum_lanes_of_row(std::int64_t begin, std::int64_t end,
                                                    const bool* keep, Add add,
                                                    LanesOfSums<kSums>& sums) {
  unrolled<kWidesOfTerms * kSums>([&](auto i)
                                      MASKGRAD_INLINE { sums[i / kSums][i % kSums] = Wide(0.0); });
  for_each_wide(begin, end, keep, [&](std::int64_t j, const auto& which, auto p) MASKGRAD_INLINE {
    add(j, which, sums[p]);
  });
}

// As sum_of_lanes() adds them.
template <int kSums>
[[gnu::always_inline]] inline std::array<double, kSums> totals_of(LanesOfSums<kSums>& sums) {
  std::array<double, kSums> totals;
  unrolled<std::bit_width(static_cast<unsigned>(kWidesOfTerms)) - 1>(
      [&](auto level) MASKGRAD_INLINE {
        constexpr int kHalf = kWidesOfTerms >> (level + 1);
        unrolled<kHalf * kSums>([&](auto i) MASKGRAD_INLINE {
          sums[i / kSums][i % kSums] += sums[i / kSums + kHalf][i % kSums];
        });
      });
  unrolled<kSums>([&](auto k) MASKGRAD_INLINE {
    totals[k] = reduce_lanes<static_cast<std::size_t>(kWide / 2)>(
        sums[0][k], [](const Wide& a, const Wide& b) MASKGRAD_INLINE { return a + b; });
  });
  return totals;
}

// The same for any number of blocks, in their tree.
template <int kSums, class Add>
[[gnu::noinline]] std::array<double, kSums> sum_long_row(std::int64_t n, const bool* keep,
                                                         Add add) {
  constexpr std::int64_t kBlock = kTermsOfBlock;
  LanesOfSums<kSums> sums;
  PairwiseSum<double> tree(kWidesOfTerms * kSums * kWide);
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    sum_lanes_of_row<kSums>(begin, std::min(begin + kBlock, n), keep, add, sums);
    double* const row = tree.row();
    for (int i = 0; i < kWidesOfTerms * kSums; ++i) {
      sums[i / kSums][i % kSums].store_unaligned(row + i * kWide);
    }
    tree.add();
  }
  std::array<double, static_cast<std::size_t>(kWidesOfTerms * kSums * kWide)> lanes;
  tree.finish(lanes.data());
  for (int i = 0; i < kWidesOfTerms * kSums; ++i) {
    sums[i / kSums][i % kSums] = Wide::load_unaligned(lanes.data() + i * kWide);
  }
  return totals_of<kSums>(sums);
}

}  // namespace detail

/// Several sums over the elements of a row of n, in the order of sum_terms(). add(j, which, sums)
/// adds the terms of a vector of elements from j on, 0 where an element does not count.
template <int kSums, class Add>
[[gnu::always_inline]] inline std::array<double, kSums> sum_wide(std::int64_t n, const bool* keep,
                                                                 Add add) {
  if (n > kTermsOfBlock) return detail::sum_long_row<kSums>(n, keep, add);
  detail::LanesOfSums<kSums> sums;
  detail::sum_lanes_of_row<kSums>(0, n, keep, add, sums);
  return detail::totals_of<kSums>(sums);
}

}  // namespace maskgrad::ops
