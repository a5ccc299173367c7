// The rows of an attention mask [B, H, S, T] as they are stored, written from the runs of each row.
// Internal to attention masks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <maskgrad/tensor/mask_runs.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::detail {

inline constexpr std::size_t kMostIntervals = 2;  // that a row keeps as intervals

// Calls f(b, h, s) for the rows in the order in which they are stored, until it returns false.
template <class F>
bool every_row(const Shape& shape, F&& f) {
  for (std::int64_t b = 0; b < shape[0]; ++b) {
    for (std::int64_t h = 0; h < shape[1]; ++h) {
      for (std::int64_t s = 0; s < shape[2]; ++s) {
        if (!f(b, h, s)) return false;
      }
    }
  }
  return true;
}

inline KeyInterval* as_intervals(Tensor& storage) {
  return reinterpret_cast<KeyInterval*>(storage.data<std::int32_t>());
}

inline Tensor empty_intervals(const Shape& shape, std::size_t per_row) {
  const Shape of_row = {static_cast<std::int64_t>(per_row), 2};
  return Tensor::zeros(shape.slice(0, 3).concat(of_row), DType::kInt32);
}

template <class RunsOfRow>
Tensor bits_of(const Shape& shape, RunsOfRow&& runs_of_row) {
  Tensor bits = Tensor::zeros(shape, DType::kBool);
  bool* row = bits.data<bool>();
  every_row(shape, [&](std::int64_t b, std::int64_t h, std::int64_t s) {
    for (const KeyInterval run : runs_of_row(b, h, s)) std::fill(row + run.lo, row + run.hi, true);
    row += shape[3];
    return true;
  });
  return bits;
}

// Two intervals for each row, and how many runs the longest row has, at least 1. Ends at the first
// row with more than two.
template <class RunsOfRow>
std::pair<Tensor, std::size_t> intervals_of(const Shape& shape, RunsOfRow&& runs_of_row) {
  Tensor pairs = empty_intervals(shape, kMostIntervals);
  KeyInterval* row = as_intervals(pairs);
  std::size_t most = 1;
  every_row(shape, [&](std::int64_t b, std::int64_t h, std::int64_t s) {
    const RunsView runs = runs_of_row(b, h, s);
    most = std::max(most, runs.size());
    if (runs.size() > kMostIntervals) return false;
    std::copy(runs.begin(), runs.end(), row);
    row += kMostIntervals;
    return true;
  });
  return {std::move(pairs), most};
}

// The first of the two intervals of each row.
inline Tensor first_intervals(const Shape& shape, Tensor pairs) {
  Tensor firsts = empty_intervals(shape, 1);
  const KeyInterval* from = as_intervals(pairs);
  KeyInterval* const to = as_intervals(firsts);
  const std::int64_t rows = shape.slice(0, 3).numel();
  for (std::int64_t i = 0; i < rows; ++i, from += kMostIntervals) to[i] = *from;
  return firsts;
}

}  // namespace maskgrad::detail
