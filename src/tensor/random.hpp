// Random numbers that depend on what they are for, not on what was drawn before.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace maskgrad {

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; Random123),
/// keyed by `seed`, counting from (stream, step). The same numbers on every machine, device and
/// thread; two generators that differ in seed, stream or step are independent. Each gives 2^34
/// words.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint32_t stream = 0, std::uint64_t step = 0)
      : seed_(seed), step_(step), stream_(stream) {}

  /// The next 32 random bits.
  std::uint32_t bits32();
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform over the integers 0 .. bound-1, exactly (Lemire 2019, by rejection). bound > 0.
  std::uint32_t below(std::uint32_t bound);
  /// Uniform over the integers low .. high, both included. Throws Error unless there are
  /// 1 .. 2^32-1 of them.
  std::int64_t integer(std::int64_t low, std::int64_t high);
  bool coin() { return (bits32() & 1) != 0; }
  /// Goes on as if `count` numbers had been drawn with uniform().
  void skip_uniforms(std::uint64_t count) { skip_words(2 * count); }

 private:
  void skip_words(std::uint64_t count);
  void draw_block();

  std::uint64_t seed_;
  std::uint64_t step_;
  std::uint32_t stream_;
  std::uint32_t block_ = 0;
  std::uint32_t used_ = 4;  // words of words_ already given
  std::array<std::uint32_t, 4> words_{};
};

/// A stream number for a name, so that what a parameter or a mask draws does not depend on what
/// else there is (FNV-1a, 32 bits).
constexpr std::uint32_t stream_of(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return hash;
}

}  // namespace maskgrad
