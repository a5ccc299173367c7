#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include <maskgrad/tensor/scalar.hpp>

namespace maskgrad {
namespace {

// Two to the number of value bits of an integer type T: no T reaches it.
template <class T>
constexpr double kEnd = 2.0 * static_cast<double>(std::uint64_t{1}
                                                  << (std::numeric_limits<T>::digits - 1));

template <class T>
std::optional<T> from_bool(bool value) {
  return static_cast<T>(value);
}

template <class T, class Integer>
std::optional<T> from_integer(Integer value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (value != 0 && value != 1) return std::nullopt;
    return value == 1;
  } else if constexpr (std::is_integral_v<T>) {
    if (!std::in_range<T>(value)) return std::nullopt;
    return static_cast<T>(value);
  } else {
    const auto bits = static_cast<std::uint64_t>(value);
    const std::uint64_t size = value < 0 ? 0 - bits : bits;
    const auto digits =
        size == 0 ? 0 : static_cast<int>(std::bit_width(size)) - std::countr_zero(size);
    if (digits > std::numeric_limits<T>::digits) return std::nullopt;
    return static_cast<T>(value);
  }
}

template <class T>
std::optional<T> from_real(double value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (value != 0 && value != 1) return std::nullopt;
    return value == 1;
  } else if constexpr (std::is_integral_v<T>) {
    const bool fits = value == std::trunc(value) && value >= -kEnd<T> && value < kEnd<T>;
    return fits ? std::optional(static_cast<T>(value)) : std::nullopt;
  } else {
    const T rounded = static_cast<T>(value);
    if (std::isinf(rounded) && !std::isinf(value)) return std::nullopt;
    return rounded;
  }
}

template <class A, class B>
std::strong_ordering compare_integers(A a, B b) {
  if (std::cmp_less(a, b)) return std::strong_ordering::less;
  return std::cmp_equal(a, b) ? std::strong_ordering::equal : std::strong_ordering::greater;
}

template <class Integer>
std::partial_ordering compare_with_real(Integer a, double b) {
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (b >= kEnd<std::uint64_t>) return std::partial_ordering::less;
  if (b < -kEnd<std::int64_t>) return std::partial_ordering::greater;
  const double whole = std::floor(b);
  const auto order = whole < 0 ? compare_integers(a, static_cast<std::int64_t>(whole))
                               : compare_integers(a, static_cast<std::uint64_t>(whole));
  return order == 0 && whole < b ? std::partial_ordering::less : std::partial_ordering(order);
}

std::partial_ordering reversed(std::partial_ordering order) { return 0 <=> order; }

template <class T>
std::optional<T> parse(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

}  // namespace

template <class T>
std::optional<T> Scalar::as() const {
  return std::visit(
      []<class V>(V value) {
        if constexpr (std::is_same_v<V, bool>)
          return from_bool<T>(value);
        else if constexpr (std::is_integral_v<V>)
          return from_integer<T>(value);
        else
          return from_real<T>(value);
      },
      value_);
}

template std::optional<bool> Scalar::as() const;
template std::optional<std::int32_t> Scalar::as() const;
template std::optional<std::int64_t> Scalar::as() const;
template std::optional<float> Scalar::as() const;
template std::optional<double> Scalar::as() const;

Scalar::Kind Scalar::kind() const {
  if (std::holds_alternative<bool>(value_)) return Kind::kBool;
  return std::holds_alternative<double>(value_) ? Kind::kReal : Kind::kInteger;
}

bool Scalar::fits(DType dtype) const {
  return dispatch_dtype(AllTypes{}, dtype, "scalar",
                        [this]<class T>(T) { return as<T>().has_value(); });
}

void Scalar::check_fits(const char* name, std::string_view what, DType dtype) const {
  if (!fits(dtype)) refuse(name, what, dtype);
}

void Scalar::refuse(const char* name, std::string_view what, DType dtype) const {
  fail(name, "{} {} is no {}", what, *this, to_string(dtype));
}

std::partial_ordering operator<=>(const Scalar& a, const Scalar& b) {
  const auto compare = []<class A, class B>(A x, B y) -> std::partial_ordering {
    constexpr bool kRealX = std::is_same_v<A, double>, kRealY = std::is_same_v<B, double>;
    const auto integer = []<class V>(V v) {
      if constexpr (std::is_same_v<V, bool>)
        return std::int64_t{v};
      else
        return v;
    };
    if constexpr (kRealX && kRealY)
      return x <=> y;
    else if constexpr (kRealX)
      return reversed(compare_with_real(integer(y), x));
    else if constexpr (kRealY)
      return compare_with_real(integer(x), y);
    else
      return compare_integers(integer(x), integer(y));
  };
  return std::visit(compare, a.value_, b.value_);
}

std::string to_string(const Scalar& scalar) {
  return std::visit([](auto value) { return fmt::format("{}", value); }, scalar.value_);
}

std::optional<Scalar> parse_scalar(std::string_view text) {
  if (text == "true" || text == "false") return text == "true";
  if (const auto integer = parse<std::int64_t>(text)) return *integer;
  if (const auto integer = parse<std::uint64_t>(text)) return *integer;
  // What is too long for 64 bits must not be rounded: it is real only if it looks like that.
  if (text.find_first_of(".eEnN") == std::string_view::npos) return std::nullopt;
  if (const auto real = parse<double>(text)) return *real;
  return std::nullopt;
}

}  // namespace maskgrad
