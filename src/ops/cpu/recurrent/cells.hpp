// Cells of recurrent networks on the vectors of a row. Internal to src/ops.
#pragma once

#include <cstdint>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/functors/recurrent_cells.hpp>

namespace maskgrad::ops {

namespace detail {

// Loads and stores of a whole vector, or of its first elements.
template <class T>
struct WholeLanes {
  using V = Vec<T>;
  V load(const T* from) const { return V::load_unaligned(from); }
  void store(const V& x, T* to) const { x.store_unaligned(to); }
};
template <class T>
struct FirstLanes {
  using V = Vec<T>;
  std::int64_t count;
  V load(const T* from) const { return load_first(from, count); }
  void store(const V& x, T* to) const { store_first(x, to, count); }
};

// Calls f(at) for all elements of a row, a vector of them at a time, the tail too.
template <class T, class F>
void for_each_element(std::int64_t n, F f) {
  const WholeLanes<T> whole;
  std::int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) f(AtElement<WholeLanes<T>>{whole, n, j});
  if (j == n) return;
  const FirstLanes<T> tail{n - j};
  f(AtElement<FirstLanes<T>>{tail, n, j});
}

}  // namespace detail

/// A step of one sequence, of n elements.
template <class Cell, class T>
void step_forward(std::int64_t n, const CellForward<T, Cell::kStates>& f) {
  detail::for_each_element<T>(n, [&](const auto& at) MASKGRAD_INLINE { Cell::forward(at, f); });
}
template <class Cell, class T>
void step_backward(std::int64_t n, const CellBackward<T, Cell::kStates>& f) {
  detail::for_each_element<T>(n, [&](const auto& at) MASKGRAD_INLINE { Cell::backward(at, f); });
}

}  // namespace maskgrad::ops
