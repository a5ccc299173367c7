// What softmax and the losses do to one row. Internal to src/ops.
//
// Vectors of a fixed number of lanes. The order of addition depends on the position in the row
// alone, so zeros behind a row's end change no bit. xtensor's reductions are many times slower, and
// promise no order.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <maskgrad/ops/cpu/vector/transpose.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/functors/softmax_rules.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>

namespace maskgrad::ops {

namespace detail {

// combine(lanes[l], lanes[l + half]) for the lower half, and so on until one is left.
template <std::size_t kHalf, class T, class Combine>
T reduce_lanes(const Vec<T>& lanes, Combine combine) {
  if constexpr (kHalf == 0) {
    return lanes.get(0);
  } else {
    const auto upper =
        exchange<kHalf, true>(lanes.data, lanes.data, std::make_index_sequence<Vec<T>::size>());
    return reduce_lanes<kHalf / 2>(combine(lanes, Vec<T>(upper)), combine);
  }
}

// Lane by lane: which are among the first `count`.
template <class T>
xsimd::batch_bool<T> among_first(std::int64_t count) {
  static constexpr auto kPlaces = [] {
    std::array<T, Vec<T>::size> places{};
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<T>(i);
    return places;
  }();
  return Vec<T>::load_unaligned(kPlaces.data()) < Vec<T>(static_cast<T>(count));
}

template <class T>
using RowLanes = std::array<Vec<T>, static_cast<std::size_t>(kLanesOfTerms / kLanes<T>)>;

// Element j into lane j % 16, as sum_terms() does.
template <class T, class Step, class... Ts>
[[gnu::always_inline]] inline RowLanes<T> lanes_of_block(std::int64_t n, T start, Step step,
                                                         const Ts*... x) {
  constexpr std::int64_t kVectors = kLanesOfTerms / kLanes<T>;
  RowLanes<T> lanes;
  lanes.fill(Vec<T>(start));
  std::int64_t j = 0;
  for (; j + kLanesOfTerms <= n; j += kLanesOfTerms) {
    unrolled<kVectors>([&](auto v) MASKGRAD_INLINE {
      lanes[v] = step(lanes[v], Vec<T>::load_unaligned(x + j + v * kLanes<T>)...);
    });
  }
  for (std::size_t v = 0; j < n; ++v, j += kLanes<T>) {
    const std::int64_t count = std::min(kLanes<T>, n - j);
    lanes[v] =
        xsimd::select(among_first<T>(count), step(lanes[v], load_first(x + j, count)...), lanes[v]);
  }
  return lanes;
}

template <class T, class Combine>
RowLanes<T> combine_all(RowLanes<T> a, const RowLanes<T>& b, Combine combine) {
  for (std::size_t v = 0; v < a.size(); ++v) a[v] = combine(a[v], b[v]);
  return a;
}

// Of blocks [0, 2^level), as many as there are.
template <class T, class Step, class Combine, class... Ts>
RowLanes<T> lanes_of_tree(int level, std::int64_t n, T start, Step step, Combine combine,
                          const Ts*... x) {
  if (n <= kTermsOfBlock) return lanes_of_block(n, start, step, x...);
  const std::int64_t half = kTermsOfBlock << (level - 1);
  if (n <= half) return lanes_of_tree(level - 1, n, start, step, combine, x...);
  return combine_all<T>(lanes_of_tree(level - 1, half, start, step, combine, x...),
                        lanes_of_tree(level - 1, n - half, start, step, combine, (x + half)...),
                        combine);
}

}  // namespace detail

/// Takes x[j]..., j = 0 .. n-1, into 16 lanes, the lane being j % 16, by lane = step(lane,
/// x[j]...), in blocks of 512; then combines blocks, and at last lanes, in a tree. So in a fixed
/// order, the same for vectors of any width. step and combine take and give vectors.
template <class T, class Step, class Combine, class... Ts>
T reduce_row(std::int64_t n, T start, Step step, Combine combine, const Ts*... x) {
  detail::RowLanes<T> lanes;
  if (n <= kTermsOfBlock) {
    lanes = detail::lanes_of_block(n, start, step, x...);
  } else {
    const auto blocks = static_cast<std::uint64_t>((n + kTermsOfBlock - 1) / kTermsOfBlock);
    lanes = detail::lanes_of_tree(static_cast<int>(std::bit_width(blocks - 1)), n, start, step,
                                  combine, x...);
  }
  for (std::size_t half = lanes.size() / 2; half > 0; half /= 2) {
    for (std::size_t v = 0; v < half; ++v) lanes[v] = combine(lanes[v], lanes[v + half]);
  }
  return detail::reduce_lanes<Vec<T>::size / 2>(lanes[0], combine);
}

/// The largest of x[0 .. n-1], NaN left out; -inf over nothing.
template <class T>
T row_max(const T* x, std::int64_t n) {
  const auto larger = [](const Vec<T>& a, const Vec<T>& b) { return xsimd::select(a < b, b, a); };
  return reduce_row(n, -std::numeric_limits<T>::infinity(), larger, larger, x);
}

template <class T>
T row_sum(const T* x, std::int64_t n) {
  const auto add = [](const Vec<T>& a, const Vec<T>& b) { return a + b; };
  return reduce_row(n, T{}, add, add, x);
}

/// sum_j x[j] y[j]
template <class T>
T row_dot(const T* x, const T* y, std::int64_t n) {
  return reduce_row(
      n, T{},
      [](const Vec<T>& sum, const Vec<T>& a, const Vec<T>& b) { return multiply_add(a, b, sum); },
      [](const Vec<T>& a, const Vec<T>& b) { return a + b; }, x, y);
}

/// Where the largest of x[0], x[stride], ... n of them, stands: the first of equals; the first NaN
/// if there is one. n > 0.
template <class T>
std::int64_t argmax_row(const T* x, std::int64_t n, std::int64_t stride) {
  std::int64_t best = 0;
  for (std::int64_t j = 1; j < n && !std::isnan(x[best * stride]); ++j) {
    const T candidate = x[j * stride];
    if (candidate > x[best * stride] || std::isnan(candidate)) best = j;
  }
  return best;
}

/// Whether x[place] is the largest of x[0 .. n-1], the first of equals; never when there is a NaN.
/// n < 2^31.
/// All are compared at once, in a fifth of the time of argmax_row().
template <class T>
bool is_largest(const T* x, std::int64_t n, std::int64_t place) {
  // As narrow as a float, so that both fit the same vectors.
  const auto size = static_cast<std::int32_t>(n), at = static_cast<std::int32_t>(place);
  const T top = x[place];
  int beaten = 0;
  for (std::int32_t j = 0; j < size; ++j) {
    beaten |= int{!(x[j] <= top)} | (int{x[j] == top} & int{j < at});
  }
  return !beaten;
}

/// y[j] = fast_exp(x[j] - shift); x and y may be the same row.
template <class T>
void row_exp(const T* x, T shift, T* y, std::int64_t n) {
  map_vectors(n, y, functors::ExpBelow<T>{shift}, x);
}

}  // namespace maskgrad::ops
