// Elementwise work on tensors, by functors (functors/rules.hpp, functors/binary_rules.hpp).
// Internal to src/ops.
//
// Work is cut by shapes alone, and handed to threads. Floating elements are computed in full
// vectors, tails too, so that an element has the same bits wherever it stands.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/functors/cuda_slots.hpp>
#include <maskgrad/ops/math/broadcast_plan.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

namespace detail {

// Enough elements to outweigh handing them to another thread, also when they are only added.
inline constexpr std::int64_t kElementsOfPart = 16384;

template <class T>
const T* elements(const Tensor& x) {
  return x.data<T>();
}
template <class T>
const bool* elements(const Conditions& x) {
  return x.tensor.data<bool>();
}
inline const Shape& shape_of(const Tensor& x) { return x.shape(); }
inline const Shape& shape_of(const Conditions& x) { return x.tensor.shape(); }

inline void check_same_dtype(const char* name, const Tensor& a, const Tensor& b) {
  check(a.dtype() == b.dtype(), name, "the inputs are {} and {}, they must be the same",
        to_string(a.dtype()), to_string(b.dtype()));
}
inline void check_same_dtype(const char*, const Tensor&, const Conditions&) {}

// y = f(x, ...): by `on_cpu`, or by the functor's kernel.
template <class F, class Cpu, class... Rest>
void dispatch_elements(const char* name, const F& f, Cpu&& on_cpu, Tensor& y, const Tensor& x,
                       const Rest&... rest) {
  dispatch_device(x.device(), name, kElementwiseCuda<F, Tensor, Rest...>, on_cpu, f, x, rest..., y);
}

// An operand of a row: its own elements, or the one that stands for all columns, repeated in memory
// of its own.
template <class T>
class RowOperand {
 public:
  // `spare` has room for `width` elements. None is needed where the operand has columns.
  RowOperand(const T* x, bool has_columns, std::int64_t width, std::byte* spare)
      : x_(x), width_(has_columns ? 0 : width), spare_(reinterpret_cast<T*>(spare)) {}

  const T* at(std::int64_t offset, std::int64_t column) {
    if (width_ == 0) return x_ + offset + column;
    if (offset != repeated_) std::fill_n(spare_, width_, x_[repeated_ = offset]);
    return spare_;
  }

 private:
  const T* x_;
  std::int64_t width_, repeated_ = -1;
  T* spare_;
};

// The pieces that rows are cut into.
struct Pieces {
  static constexpr std::int64_t kMost = 1024;  // elements: what is repeated fits the nearest cache

  explicit Pieces(std::int64_t columns)
      : width(std::min(columns, kMost)), of_row((columns + width - 1) / width) {}
  std::int64_t width, of_row;
};

// Pieces [i, end) of all rows.
template <class T, class F, std::size_t... k, class... Ts>
void zip_pieces(const BroadcastPlan& plan, const Pieces& pieces, std::int64_t i, std::int64_t end,
                std::index_sequence<k...>, T* y, F f, const Ts*... x) {
  alignas(64) std::byte spare[sizeof...(Ts)][Pieces::kMost * sizeof(std::int64_t)];
  std::tuple<RowOperand<Ts>...> operands{
      RowOperand<Ts>(x, plan.has_columns(k), pieces.width, spare[k])...};
  const std::int64_t columns = plan.columns();
  BroadcastPlan::Row row = plan.row(i / pieces.of_row);
  y += i / pieces.of_row * columns;
  std::int64_t column = i % pieces.of_row * pieces.width;
  for (;;) {
    map_row(std::min(pieces.width, columns - column), y + column, f,
            std::get<k>(operands).at(row.offset(k), column)...);
    if (++i == end) return;
    column += pieces.width;
    if (column < columns) continue;
    column = 0;
    y += columns;
    row.next();
  }
}

}  // namespace detail

/// y[j] = f(x[j]...) for j = 0 .. n-1. T is any type of elements; x are of T, or bool for
/// conditions.
template <class T, class F, class... Ts>
void map_all(std::int64_t n, T* y, F f, const Ts*... x) {
  constexpr std::int64_t kLine = 64 / sizeof(T);  // parts begin where cache lines do
  const std::int64_t lines = (n + kLine - 1) / kLine;
  parallel_for(lines, detail::kElementsOfPart / kLine, [&](std::int64_t line, std::int64_t end) {
    const std::int64_t first = line * kLine, last = std::min(end * kLine, n);
    map_row(last - first, y + first, f, (x + first)...);
  });
}

/// The same with operands that broadcast. x: the first operands of `plan`, in its order.
template <class T, class F, class... Ts>
void zip_all(const BroadcastPlan& plan, T* y, F f, const Ts*... x) {
  static_assert(sizeof...(Ts) <= BroadcastPlan::kMostOperands);
  if (plan.output().numel() == 0) return;
  const detail::Pieces pieces(plan.columns());
  parallel_for(plan.rows() * pieces.of_row, detail::kElementsOfPart / pieces.width,
               [&](std::int64_t i, std::int64_t end) {
                 detail::zip_pieces(plan, pieces, i, end, std::index_sequence_for<Ts...>{}, y, f,
                                    x...);
               });
}

/// y = f(x, ...) element by element into a tensor that is there, which may be one of the inputs.
/// All have the shape of x, and its floating dtype but for Conditions.
template <class F, class... Rest>
void map_into(const char* name, F f, Tensor& y, const Tensor& x, const Rest&... rest) {
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), name, [&]<class T>(T) {
      const T* from = x.data<T>();
      map_all(x.numel(), y.data<T>(), f, from, detail::elements<T>(rest)...);
    });
  };
  detail::dispatch_elements(name, f, on_cpu, y, x, rest...);
}

/// The same into a new tensor.
template <class F, class... Rest>
Tensor map_elements(const char* name, F f, const Tensor& x, const Rest&... rest) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  map_into(name, f, y, x, rest...);
  return y;
}

/// f(x, ...) element by element with broadcasting, into a new tensor of x's dtype. Throws Error
/// when the shapes do not broadcast, or the dtypes are not one floating type.
template <class F, class... Rest>
Tensor zip_elements(const char* name, F f, const Tensor& x, const Rest&... rest) {
  (detail::check_same_dtype(name, x, rest), ...);
  if (((detail::shape_of(rest) == x.shape()) && ...)) return map_elements(name, f, x, rest...);
  const BroadcastPlan plan(name, {&x.shape(), &detail::shape_of(rest)...});
  Tensor y = Tensor::empty(plan.output(), x.dtype(), x.device());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), name, [&]<class T>(T) {
      zip_all(plan, y.data<T>(), f, x.data<T>(), detail::elements<T>(rest)...);
    });
  };
  detail::dispatch_elements(name, f, on_cpu, y, x, rest...);
  return y;
}

}  // namespace maskgrad::ops
