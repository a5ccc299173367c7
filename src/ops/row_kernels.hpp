// What softmax and the losses do to one row. Internal to src/ops.
//
// Plain loops over a fixed number of lanes: a softmax of xtensor's reductions takes 1.2 times as
// long on rows of 20 floats, 10 times on rows of 128, 22 times on rows of 2,048 (AMD EPYC Genoa),
// and promises no order. Here the order of addition depends on the position in the row alone, so
// zeros behind a row's end change no bit.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include <maskgrad/ops/expression.hpp>

namespace maskgrad::ops {

/// Combines term(j) for j = 0 .. n-1 in a fixed order: lane j % 16 first, then a tree over lanes.
template <class T, class Term, class Combine>
T reduce_row(std::int64_t n, T start, Term term, Combine combine) {
  constexpr std::int64_t kLanes = 16;
  std::array<T, kLanes> lanes;
  lanes.fill(start);
  std::int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) {
      lanes[static_cast<std::size_t>(l)] = combine(lanes[static_cast<std::size_t>(l)], term(j + l));
    }
  }
  for (; j < n; ++j) {
    T& lane = lanes[static_cast<std::size_t>(j % kLanes)];
    lane = combine(lane, term(j));
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] = combine(lanes[l], lanes[l + half]);
  }
  return lanes[0];
}

/// The largest of x[0 .. n-1], NaN left out; -inf over nothing.
template <class T>
T row_max(const T* x, std::int64_t n) {
  return reduce_row(
      n, -std::numeric_limits<T>::infinity(), [x](std::int64_t j) { return x[j]; },
      [](T a, T b) { return a < b ? b : a; });
}

template <class T>
T row_sum(const T* x, std::int64_t n) {
  return reduce_row(
      n, T{}, [x](std::int64_t j) { return x[j]; }, [](T a, T b) { return a + b; });
}

/// sum_j x[j] y[j]
template <class T>
T row_dot(const T* x, const T* y, std::int64_t n) {
  return reduce_row(
      n, T{}, [x, y](std::int64_t j) { return x[j] * y[j]; }, [](T a, T b) { return a + b; });
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

/// y[j] = exp(x[j] - shift); x and y may be the same row.
template <class T>
void row_exp(const T* x, T shift, T* y, std::int64_t n) {
  map_row([shift](const auto& a) { return xt::exp(a - shift); }, n, y, x);
}

}  // namespace maskgrad::ops
