// Tensors as xtensor expressions, and xtensor expressions as tensors. Whoever includes this needs
// xtensor; no other header of maskgrad includes it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <xtensor/xadapt.hpp>
#include <xtensor/xnoalias.hpp>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

namespace detail {

// Moved, the pointer is kept as it is; else xtensor would keep a reference to it.
template <class Pointer>
auto adapt(Pointer elements, const Shape& shape) {
  return xt::adapt(std::move(elements), static_cast<std::size_t>(shape.numel()), xt::no_ownership(),
                   xt::dynamic_shape<std::size_t>(shape.begin(), shape.end()));
}

// What a tensor holds of an expression's elements: signed integers by their size, as xtensor counts
// in long long.
template <class T>
auto tensor_element() {
  static_assert(std::is_same_v<T, bool> || std::is_same_v<T, float> || std::is_same_v<T, double> ||
                    (std::is_integral_v<T> && std::is_signed_v<T> && sizeof(T) >= 4),
                "no tensor holds this type: xt::cast<std::int64_t>() it, or to another that one "
                "holds");
  if constexpr (!std::is_integral_v<T> || std::is_same_v<T, bool>) {
    return T{};
  } else {
    return std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>{};
  }
}
template <class E>
using ElementOf = decltype(tensor_element<std::decay_t<typename E::value_type>>());

template <class E>
Shape shape_of(const E& expression) {
  const std::vector<std::int64_t> dims(expression.shape().begin(), expression.shape().end());
  return Shape(dims);
}

}  // namespace detail

/// The elements of x as an xtensor expression of x's shape. It reads x's memory. Requires that the
/// tensor outlives the expression and all expressions built from it.
/// Throws Error when T is not x's dtype, when x is not on the CPU, and when x has no value.
template <class T>
auto as_xtensor(const Tensor& x) {
  return detail::adapt(x.data<T>(), x.shape());
}
/// The same for writing to x; the call counts as a write. An assignment of an expression with
/// another number of elements throws std::runtime_error.
template <class T>
auto as_xtensor(Tensor& x) {
  return detail::adapt(x.data<T>(), x.shape());
}
template <class T>
void as_xtensor(const Tensor&& x) = delete;  // it would not outlive the expression

/// Evaluates an expression into the memory of y, once. It may read y, but each element only at its
/// own place.
/// Throws Error unless the expression has the shape of y and elements of its dtype.
template <class E>
void assign_xtensor(Tensor& y, const xt::xexpression<E>& expression) {
  const E& e = expression.derived_cast();
  const Shape shape = detail::shape_of(e);
  check_given(y.defined(), "xtensor", "the tensor to assign to");
  check(shape == y.shape(), "xtensor", "an expression of {} does not fit a tensor of {}", shape,
        y.shape());
  auto elements = as_xtensor<detail::ElementOf<E>>(y);
  xt::noalias(elements) = e;
}

/// A tensor with the shape and the elements of an expression, evaluated once into its memory.
/// float, double and bool stay what they are; signed integers of 4 and 8 bytes become int32 and
/// int64. Throws Error for more than Shape::kMaxRank dimensions.
template <class E>
Tensor from_xtensor(const xt::xexpression<E>& expression) {
  const E& e = expression.derived_cast();
  Tensor y = Tensor::empty(detail::shape_of(e), dtype_of<detail::ElementOf<E>>);
  assign_xtensor(y, expression);
  return y;
}

}  // namespace maskgrad
