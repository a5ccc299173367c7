#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include <maskgrad/train/formats/half.hpp>

namespace maskgrad {
namespace {

// sign | exponent | fraction. The exponents of denormal numbers and of the least normal ones are
// `least`.
struct Layout {
  int fraction_bits, least;

  constexpr std::uint16_t infinity() const {
    return static_cast<std::uint16_t>(0x7fff >> fraction_bits << fraction_bits);
  }
};

constexpr Layout layout_of(HalfKind kind) {
  return kind == HalfKind::kFloat16 ? Layout{10, -14} : Layout{7, -126};
}

constexpr std::uint16_t kSign = 0x8000;

// |x| / 2^(exponent - fraction_bits) is a whole number and a rest. The whole number includes the
// bit that the format leaves out, so it adds one to the field of the exponent. Where rounding
// carries, it adds one more.
std::uint16_t rounded(const Layout& layout, double size) {
  const int exponent = std::max(size > 0 ? std::ilogb(size) : layout.least, layout.least);
  const double whole = std::nearbyint(std::ldexp(size, layout.fraction_bits - exponent));
  const std::int64_t bits =
      (std::int64_t{exponent - layout.least} << layout.fraction_bits) + std::llrint(whole);
  return static_cast<std::uint16_t>(std::min<std::int64_t>(bits, layout.infinity()));
}

template <class T>
std::uint16_t half_of(HalfKind kind, T x) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr int kFraction = std::numeric_limits<T>::digits - 1;
  const Layout layout = layout_of(kind);
  const std::uint16_t sign = std::signbit(x) ? kSign : std::uint16_t{0};
  if (std::isinf(x)) return sign | layout.infinity();
  if (!std::isnan(x)) return sign | rounded(layout, std::abs(static_cast<double>(x)));
  const Bits payload = std::bit_cast<Bits>(x) & ((Bits{1} << kFraction) - 1);
  const auto upper = static_cast<std::uint16_t>(payload >> (kFraction - layout.fraction_bits));
  return static_cast<std::uint16_t>(sign | layout.infinity() | (upper == 0 ? 1 : upper));
}

}  // namespace

float from_half(HalfKind kind, std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & std::uint32_t{kSign}} << 16;
  const std::uint32_t size = bits & 0x7fffU;
  const Layout layout = layout_of(kind);
  if (kind == HalfKind::kBFloat16) return std::bit_cast<float>(sign | size << 16);
  if (size >= layout.infinity()) return std::bit_cast<float>(sign | 0x7f800000U | size << 13);
  if (size < 0x400) {  // denormal: a whole number of 2^-24
    return std::bit_cast<float>(
        sign | std::bit_cast<std::uint32_t>(std::ldexp(static_cast<float>(size), -24)));
  }
  return std::bit_cast<float>(sign | ((size << 13) + ((127U - 15U) << 23)));
}

std::uint16_t to_half(HalfKind kind, float x) { return half_of(kind, x); }
std::uint16_t to_half(HalfKind kind, double x) { return half_of(kind, x); }

}  // namespace maskgrad
