// Fixed-width little-endian numbers in byte strings, whatever the machine's own order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace maskgrad {

/// The unsigned integer in the sizeof(T) bytes at `bytes`.
template <class T>
T load_little_endian(const char* bytes) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>(value << 8 | static_cast<unsigned char>(bytes[i]));
  }
  return value;
}

/// Appends the sizeof(T) bytes of `value`.
template <class T>
void append_little_endian(std::string& out, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
}

}  // namespace maskgrad
