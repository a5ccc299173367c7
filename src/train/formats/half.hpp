// Floating-point numbers of 16 bits, in which files may hold weights: float16 (IEEE 754 binary16)
// and bfloat16 (the upper half of a float32).
#pragma once

#include <cstdint>

namespace maskgrad {

enum class HalfKind : std::uint8_t { kFloat16, kBFloat16 };

/// The number that has these bits, exactly. NaN keeps sign and payload.
float from_half(HalfKind kind, std::uint16_t bits);

/// The bits of the nearest number of the kind, of two that are as near those that end in 0. A
/// number that rounds to more than the kind holds gives infinity. NaN keeps its sign and the upper
/// bits of its payload, with the lowest bit set where these are 0, as in NumPy.
std::uint16_t to_half(HalfKind kind, float x);
std::uint16_t to_half(HalfKind kind, double x);

}  // namespace maskgrad
