// Sums and products of sizes that come from outside.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

/// a + b. Throws Error "[name] <what>: 9223372036854775807 + 1 does not fit 64 bits".
inline std::int64_t checked_add(const char* name, const char* what, std::int64_t a,
                                std::int64_t b) {
  std::int64_t sum = 0;
  check(!__builtin_add_overflow(a, b, &sum), name, "{}: {} + {} does not fit 64 bits", what, a, b);
  return sum;
}

/// a b. Throws Error "[name] <what>: 4294967296 * 4294967296 does not fit 64 bits".
inline std::int64_t checked_multiply(const char* name, const char* what, std::int64_t a,
                                     std::int64_t b) {
  std::int64_t product = 0;
  check(!__builtin_mul_overflow(a, b, &product), name, "{}: {} * {} does not fit 64 bits", what, a,
        b);
  return product;
}

}  // namespace maskgrad
