// A number as it was given, for arguments that go to values of any dtype.
#pragma once

#include <algorithm>
#include <compare>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <maskgrad/tensor/dtype.hpp>

namespace maskgrad {

/// A bool, an integer of up to 64 bits, or a real number. Whether it fits a dtype:
///   An integer or bool fits a type that holds it exactly. 2^24 + 1 does not fit float32.
///   A finite real number fits a floating type, to which it is rounded, unless it would become
///   infinite. It fits an integer type or bool that holds it exactly.
///   Inf and NaN fit floating types alone.
class Scalar {
 public:
  enum class Kind : std::uint8_t { kBool, kInteger, kReal };

  template <class T>
  requires std::same_as<T, float> || std::same_as<T, double>
  constexpr Scalar(T value) : value_(double{value}) {}
  template <std::integral T>
  requires(sizeof(T) <= 8) constexpr Scalar(T value) : value_(of_integer(value)) {}

  Kind kind() const;
  bool fits(DType dtype) const;
  /// The number as a T, one of the C++ types of dtypes; nothing when it does not fit.
  template <class T>
  std::optional<T> as() const;
  /// The same. Throws Error "[name] fill 0.5 is no int32" when it does not fit; there `what` is
  /// "fill".
  template <class T>
  T to(const char* name, std::string_view what) const {
    const std::optional<T> value = as<T>();
    if (!value) refuse(name, what, dtype_of<T>);
    return *value;
  }
  /// Throws the Error of to() unless the number fits.
  void check_fits(const char* name, std::string_view what, DType dtype) const;

  /// Compares the exact values, whatever their kinds. NaN is unordered.
  friend std::partial_ordering operator<=>(const Scalar& a, const Scalar& b);
  friend bool operator==(const Scalar& a, const Scalar& b) { return (a <=> b) == 0; }

  /// "true", "-12", "0.5", "1e+39", "-inf".
  friend std::string to_string(const Scalar& scalar);

 private:
  // Integers that int64 does not hold are unsigned.
  using Value = std::variant<bool, std::int64_t, std::uint64_t, double>;

  template <class T>
  static constexpr Value of_integer(T value) {
    if constexpr (std::same_as<T, bool>) {
      return value;
    } else {
      const bool is_large = value > 0 && static_cast<std::uint64_t>(value) >> 63 != 0;
      if (is_large) return static_cast<std::uint64_t>(value);
      return static_cast<std::int64_t>(value);
    }
  }
  [[noreturn]] void refuse(const char* name, std::string_view what, DType dtype) const;

  Value value_;
};

/// "true", "false", a whole number of up to 64 bits, or a real number ("0.5", "1e3", "inf",
/// "-nan"). Nothing for other text, and for a real number beyond the range of a double.
std::optional<Scalar> parse_scalar(std::string_view text);

}  // namespace maskgrad

template <>
struct fmt::formatter<maskgrad::Scalar> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const maskgrad::Scalar& scalar, Context& context) const {
    const std::string text = to_string(scalar);
    return std::copy(text.begin(), text.end(), context.out());
  }
};
