// Bytes read as a list of choices.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace maskgrad::fuzz {

/// Takes one byte after another, and zeros behind the last.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}

  std::uint8_t byte() {
    if (at_ == bytes_.size()) return 0;
    return bytes_[at_++];
  }
  /// 0 .. bound-1; bound at most 256.
  std::size_t below(std::size_t bound) { return byte() % bound; }
  /// True with `in` chances of 256.
  bool chance(int in) { return byte() < in; }
  template <class T, std::size_t n>
  const T& one_of(const T (&values)[n]) {
    return values[below(n)];
  }
  /// The next bytes as they are.
  template <class T>
  T raw() {
    std::uint8_t bytes[sizeof(T)];
    for (std::uint8_t& b : bytes) b = byte();
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

}  // namespace maskgrad::fuzz
