// Kernels for functors of elements/map.hpp, those of a program of your own. For `.cu` files.
//
//   struct Softsign {
//     template <class E>
//     constexpr E operator()(const E& x) const { return x / (1 + abs(x)); }
//   };
//
// A functor takes one line, in a `.cu` file that sees it:
//   const bool kFilled = maskgrad::ops::fill_map_each<Softsign, 1>("softsign");
// The device gets a copy of the functor, so all it holds are numbers. A thread calls it with one
// element, in which it can be written as in Elements. Results have the CPU's bits, where its
// compiler fuses no product with a sum, as it may unless it has the option -ffp-contract=off.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <maskgrad/ops/cuda/map.hpp>
#include <maskgrad/ops/elements/map_slot.hpp>
#include <maskgrad/ops/functors/rules.hpp>

namespace maskgrad::ops {

/// What Elements<T> is on the CPU, for one element.
template <class T>
class OneElement {
 public:
  using Condition = bool;

  /// `value`, rounded to T.
  constexpr OneElement(double value) : value_(static_cast<T>(value)) {}
  static constexpr OneElement of(T value) { return OneElement(Exactly{value}); }
  constexpr T value() const { return value_; }

  friend constexpr OneElement operator+(OneElement a, OneElement b) {
    return of(a.value_ + b.value_);
  }
  friend constexpr OneElement operator-(OneElement a, OneElement b) {
    return of(a.value_ - b.value_);
  }
  friend constexpr OneElement operator*(OneElement a, OneElement b) {
    return of(a.value_ * b.value_);
  }
  friend constexpr OneElement operator/(OneElement a, OneElement b) {
    return of(a.value_ / b.value_);
  }
  friend constexpr OneElement operator-(OneElement a) { return of(-a.value_); }
  constexpr OneElement& operator+=(OneElement b) { return *this = *this + b; }
  constexpr OneElement& operator-=(OneElement b) { return *this = *this - b; }
  constexpr OneElement& operator*=(OneElement b) { return *this = *this * b; }
  constexpr OneElement& operator/=(OneElement b) { return *this = *this / b; }

  friend constexpr bool operator<(OneElement a, OneElement b) { return a.value_ < b.value_; }
  friend constexpr bool operator<=(OneElement a, OneElement b) { return a.value_ <= b.value_; }
  friend constexpr bool operator>(OneElement a, OneElement b) { return a.value_ > b.value_; }
  friend constexpr bool operator>=(OneElement a, OneElement b) { return a.value_ >= b.value_; }
  friend constexpr bool operator==(OneElement a, OneElement b) { return a.value_ == b.value_; }

  friend constexpr OneElement select(bool which, OneElement yes, OneElement no) {
    return which ? yes : no;
  }
  friend constexpr OneElement min(OneElement a, OneElement b) { return b < a ? b : a; }
  friend constexpr OneElement max(OneElement a, OneElement b) { return a < b ? b : a; }
  MASKGRAD_RULE friend OneElement abs(OneElement x) { return of(math::abs(x.value_)); }
  MASKGRAD_RULE friend OneElement exp(OneElement x) { return of(math::exp(x.value_)); }
  MASKGRAD_RULE friend OneElement log(OneElement x) { return of(math::log(x.value_)); }
  MASKGRAD_RULE friend OneElement sqrt(OneElement x) { return of(math::sqrt(x.value_)); }
  MASKGRAD_RULE friend OneElement tanh(OneElement x) { return of(functors::Tanh()(x.value_)); }
  MASKGRAD_RULE friend OneElement erf(OneElement x) { return of(math::erf(x.value_)); }
  MASKGRAD_RULE friend OneElement sigmoid(OneElement x) { return of(math::sigmoid(x.value_)); }
  MASKGRAD_RULE friend OneElement softplus(OneElement x) {
    return of(functors::Softplus()(x.value_));
  }

 private:
  struct Exactly {
    T value;
  };
  constexpr explicit OneElement(Exactly exactly) : value_(exactly.value) {}

  T value_;
};

namespace detail {

// A functor of such elements, called with their numbers.
template <class F, class T>
struct OfNumbers {
  F f;
  template <class... X>
  __device__ T operator()(X... x) const {
    const OneElement<T> y = f(OneElement<T>::of(x)...);
    return y.value();
  }
};

template <class F, class... X>
void map_each_on_device(const F& f, const X&... x, Tensor& y) {
  static_assert(std::is_trivially_copyable_v<F>, "the device gets a copy of the functor");
  dispatch_dtype(FloatingTypes{}, y.dtype(), "elementwise", [&]<class T>(T) {
    map_on_device<T>("elementwise", OfNumbers<F, T>{f}, y, Operand<T>{x}...);
  });
}

// Tensor, for each number of a pack. No alias, of which nvcc leaves no pack to the host's compiler.
template <std::size_t>
struct AnInput {
  using Type = Tensor;
};

template <class F, std::size_t... i>
bool fill_map_each(const char* op, std::index_sequence<i...>) {
  return kMapEachCuda<F, typename AnInput<i>::Type...>.fill(
      map_each_on_device<F, typename AnInput<i>::Type...>, op);
}

}  // namespace detail

/// Gives map_each() and elementwise() a kernel for a functor of so many inputs: for the initialiser
/// of a constant. `op` is the operation that lists name. Throws Error when it has one.
template <class F, int inputs>
bool fill_map_each(const char* op) {
  return detail::fill_map_each<F>(op, std::make_index_sequence<inputs>());
}

}  // namespace maskgrad::ops
