// The rows of an attention mask [B, H, S, T] as they are stored, written from the runs of each row.
// Internal to attention masks.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/mask/runs.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::detail {

// Calls f(b, h, s) for the rows of some samples in the order in which they are stored, until it
// returns false.
template <class F>
bool every_row(const Shape& shape, std::int64_t first, std::int64_t end, F&& f) {
  for (std::int64_t b = first; b < end; ++b) {
    for (std::int64_t h = 0; h < shape[1]; ++h) {
      for (std::int64_t s = 0; s < shape[2]; ++s) {
        if (!f(b, h, s)) return false;
      }
    }
  }
  return true;
}

template <class F>
bool every_row(const Shape& shape, F&& f) {
  return every_row(shape, 0, shape[0], std::forward<F>(f));
}

// The mask of given rows as bits. exists[r] says whether stored row r exists; a row that does not
// has no runs. exists == nullptr: all rows exist.
template <class RunsOfRow>
Tensor bits_of(const Shape& shape, RunsOfRow runs_of_row, const bool* exists = nullptr) {
  Tensor bits = Tensor::zeros(shape, DType::kBool);
  bool* row = bits.data<bool>();
  every_row(shape, [&](std::int64_t b, std::int64_t h, std::int64_t s) {
    const RunsView runs = runs_of_row(b, h, s);
    const bool any = !exists || *exists++;
    for (std::size_t i = 0; any && i < runs.size(); ++i)
      std::fill(row + runs[i].lo, row + runs[i].hi, true);
    row += shape[3];
    return true;
  });
  return bits;
}

// The same as kMost intervals for each row; undefined when a row has more runs.
template <int kMost, class RunsOfRow>
Tensor intervals_of(const Shape& shape, const RunsOfRow& runs_of_row, const bool* exists) {
  const Shape of_row = {kMost, 2};
  Tensor all = Tensor::empty(shape.slice(0, 3).concat(of_row), DType::kInt32);
  const std::int64_t each = shape[1] * shape[2];
  std::atomic<bool> fit = true;
  maskgrad::parallel_for(shape[0], least_for(64, each), [&](std::int64_t first, std::int64_t end) {
    auto* row = reinterpret_cast<KeyInterval*>(all.data<std::int32_t>()) + first * each * kMost;
    const bool* keep = exists ? exists + first * each : nullptr;
    auto runs_of = runs_of_row;
    const bool fits =
        every_row(shape, first, end, [&](std::int64_t b, std::int64_t h, std::int64_t s) {
          const RunsView runs = runs_of(b, h, s);
          const bool any = !keep || *keep++;
          if (any && runs.size() > kMost) return false;
          for (std::size_t i = 0; i < kMost; ++i)
            *row++ = any && i < runs.size() ? runs[i] : KeyInterval{};
          return true;
        });
    if (!fits) fit = false;
  });
  return fit ? all : Tensor();
}

}  // namespace maskgrad::detail
