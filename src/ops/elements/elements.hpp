// Arithmetic on several elements at a time. Elementwise operations of one's own are written in it.
//
//   const auto f = [](auto x) { return 0.5 * x * (1 + tanh(x)); };
//
// map_each() and elementwise() (elements/map.hpp) call such a function with Elements<float> or
// Elements<double>. Its code compiles to vectors of the width that the compiler's flags allow, such
// as -march=native, from -O1 on. The functions, such as tanh, are compiled within the library.
//
// An element has the same bits wherever it stands, in code that was compiled with the same flags.
// Parts of one program may be compiled with different ones, for instance for several processors.
// Then each has an Elements of its own, and functions of elements/map.hpp of its own. The name of
// an inline namespace tells them apart: the width of vectors and the rounding depend on what it
// says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <maskgrad/ops/elements/functions.hpp>

#if defined(__AVX512F__)
#define MASKGRAD_ELEMENTS_FOR for_avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define MASKGRAD_ELEMENTS_FOR for_avx2_fma
#elif defined(__AVX2__)
#define MASKGRAD_ELEMENTS_FOR for_avx2
#elif defined(__AVX__) && defined(__FMA__)
#define MASKGRAD_ELEMENTS_FOR for_avx_fma
#elif defined(__AVX__)
#define MASKGRAD_ELEMENTS_FOR for_avx
#else
#define MASKGRAD_ELEMENTS_FOR for_any
#endif

namespace maskgrad::ops {
inline namespace MASKGRAD_ELEMENTS_FOR {

/// kCount elements of T, float or double. A number takes the place of such elements, as in 1 + x.
/// It is rounded to T. + - * / and comparisons are those of T for each element.
template <class T>
class Elements {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

#if defined(__AVX512F__)
  static constexpr std::size_t kWidth = 64;
#elif defined(__AVX__)
  static constexpr std::size_t kWidth = 32;
#else
  static constexpr std::size_t kWidth = 16;
#endif
  static constexpr std::size_t kBytes = 256, kParts = kBytes / kWidth;
  using Integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  using Part [[gnu::vector_size(kWidth), gnu::may_alias]] = T;
  using Bits [[gnu::vector_size(kWidth), gnu::may_alias]] = Integer;

 public:
  static constexpr std::size_t kCount = kBytes / sizeof(T);

  /// Which elements something holds for: what a comparison gives. For select().
  class Condition {
   public:
    friend Condition operator&&(const Condition& a, const Condition& b) {
      return each([&](auto k) { return a.parts_[k] & b.parts_[k]; });
    }
    friend Condition operator||(const Condition& a, const Condition& b) {
      return each([&](auto k) { return a.parts_[k] | b.parts_[k]; });
    }
    friend Condition operator!(const Condition& a) {
      return each([&](auto k) { return ~a.parts_[k]; });
    }

   private:
    friend class Elements;
    template <class F>
    static Condition each(F f) {
      return [&]<std::size_t... k>(std::index_sequence<k...>) {
        return Condition(f(std::integral_constant<std::size_t, k>())...);
      }
      (std::make_index_sequence<kParts>());
    }
    template <class... P>
    explicit Condition(P... parts) : parts_{parts...} {}

    Bits parts_[kParts];
  };

  /// `value` for each element.
  Elements(double value) {
    for (Part& part : parts_) part = part_of(value);
  }
  /// The first `count` elements at x, and 0 for the rest. Where count is 0, x may be null.
  static Elements load(const T* x, std::size_t count = kCount) {
    if (count == kCount) {
      return each([&](auto k) { return load_part(x + k * kOfPart); });
    }
    Elements some(0.0);
    if (count > 0) std::memcpy(some.parts_, x, count * sizeof(T));
    return some;
  }
  /// Writes the first `count` elements to y.
  void store(T* y, std::size_t count = kCount) const {
    if (count != kCount) {
      if (count > 0) std::memcpy(y, parts_, count * sizeof(T));
      return;
    }
    for (std::size_t k = 0; k < kParts; ++k) std::memcpy(y + k * kOfPart, &parts_[k], kWidth);
  }

  friend Elements operator+(const Elements& a, const Elements& b) {
    return each([&](auto k) { return a.parts_[k] + b.parts_[k]; });
  }
  friend Elements operator+(const Elements& a, double b) {
    return each([&, number = part_of(b)](auto k) { return a.parts_[k] + number; });
  }
  friend Elements operator+(double a, const Elements& b) {
    return each([&, number = part_of(a)](auto k) { return number + b.parts_[k]; });
  }
  friend Elements operator-(const Elements& a, const Elements& b) {
    return each([&](auto k) { return a.parts_[k] - b.parts_[k]; });
  }
  friend Elements operator-(const Elements& a, double b) {
    return each([&, number = part_of(b)](auto k) { return a.parts_[k] - number; });
  }
  friend Elements operator-(double a, const Elements& b) {
    return each([&, number = part_of(a)](auto k) { return number - b.parts_[k]; });
  }
  friend Elements operator*(const Elements& a, const Elements& b) {
    return each([&](auto k) { return a.parts_[k] * b.parts_[k]; });
  }
  friend Elements operator*(const Elements& a, double b) {
    return each([&, number = part_of(b)](auto k) { return a.parts_[k] * number; });
  }
  friend Elements operator*(double a, const Elements& b) {
    return each([&, number = part_of(a)](auto k) { return number * b.parts_[k]; });
  }
  friend Elements operator/(const Elements& a, const Elements& b) {
    return each([&](auto k) { return a.parts_[k] / b.parts_[k]; });
  }
  friend Elements operator/(const Elements& a, double b) {
    return each([&, number = part_of(b)](auto k) { return a.parts_[k] / number; });
  }
  friend Elements operator/(double a, const Elements& b) {
    return each([&, number = part_of(a)](auto k) { return number / b.parts_[k]; });
  }
  friend Elements operator-(const Elements& a) {
    return each([&](auto k) { return -a.parts_[k]; });
  }
  Elements& operator+=(const Elements& other) { return *this = *this + other; }
  Elements& operator-=(const Elements& other) { return *this = *this - other; }
  Elements& operator*=(const Elements& other) { return *this = *this * other; }
  Elements& operator/=(const Elements& other) { return *this = *this / other; }

  friend Condition operator<(const Elements& a, const Elements& b) {
    return compared([&](auto k) { return Bits(a.parts_[k] < b.parts_[k]); });
  }
  friend Condition operator<=(const Elements& a, const Elements& b) {
    return compared([&](auto k) { return Bits(a.parts_[k] <= b.parts_[k]); });
  }
  friend Condition operator==(const Elements& a, const Elements& b) {
    return compared([&](auto k) { return Bits(a.parts_[k] == b.parts_[k]); });
  }
  friend Condition operator>(const Elements& a, const Elements& b) { return b < a; }
  friend Condition operator>=(const Elements& a, const Elements& b) { return b <= a; }
  friend Condition operator!=(const Elements& a, const Elements& b) { return !(a == b); }

  /// yes where `which` holds, else no. Both are computed. What is not chosen has no effect, be it
  /// NaN.
  friend Elements select(const Condition& which, const Elements& yes, const Elements& no) {
    return chosen(which, yes, no);
  }
  /// The smaller of the two, a where they are equal; NaN where a is NaN.
  friend Elements min(const Elements& a, const Elements& b) { return select(b < a, b, a); }
  /// The larger of the two, a where they are equal; NaN where a is NaN.
  friend Elements max(const Elements& a, const Elements& b) { return select(a < b, b, a); }
  friend Elements abs(const Elements& x) {
    constexpr Integer kSize = static_cast<Integer>(~std::make_unsigned_t<Integer>{} >> 1);
    return each([&](auto k) { return Part(Bits(x.parts_[k]) & (kSize - Bits{})); });
  }

  // Those of functions.hpp.
  friend Elements exp(const Elements& x) { return x.through(ops::exp); }
  friend Elements log(const Elements& x) { return x.through(ops::log); }
  friend Elements sqrt(const Elements& x) { return x.through(ops::sqrt); }
  friend Elements tanh(const Elements& x) { return x.through(ops::tanh); }
  friend Elements erf(const Elements& x) { return x.through(ops::erf); }
  friend Elements sigmoid(const Elements& x) { return x.through(ops::sigmoid); }
  friend Elements softplus(const Elements& x) { return x.through(ops::softplus); }

 private:
  static constexpr std::size_t kOfPart = kWidth / sizeof(T);
  struct FromParts {};

  template <class... P>
  explicit Elements(FromParts, P... parts) : parts_{parts...} {}
  // f(0), f(1), ... as the parts, written out, so that they can live in registers.
  template <class F>
  static Elements each(F f) {
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
      return Elements(FromParts(), f(std::integral_constant<std::size_t, k>())...);
    }
    (std::make_index_sequence<kParts>());
  }
  template <class F>
  static Condition compared(F f) {
    return Condition::each(f);
  }
  static Elements chosen(const Condition& which, const Elements& yes, const Elements& no) {
    return each([&](auto k) {
      return Part((which.parts_[k] & Bits(yes.parts_[k])) |
                  (~which.parts_[k] & Bits(no.parts_[k])));
    });
  }
  static Part part_of(double value) { return static_cast<T>(value) - Part{}; }
  static Part load_part(const T* x) {
    Part part;
    std::memcpy(&part, x, kWidth);
    return part;
  }
  Elements through(void (*function)(std::span<const T>, std::span<T>)) const {
    Elements y(0.0);
    function({reinterpret_cast<const T*>(parts_), kCount},
             {reinterpret_cast<T*>(y.parts_), kCount});
    return y;
  }

  Part parts_[kParts];
};

}  // namespace MASKGRAD_ELEMENTS_FOR
}  // namespace maskgrad::ops
