// Random numbers that depend on what they are for, not on what was drawn before.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

namespace maskgrad {

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; Random123),
/// keyed by `seed`, counting from (stream, step). It gives the same numbers on every machine,
/// device and thread. Two generators that differ in seed, stream or step are independent. Each
/// gives 2^65 words of 32 bits. The counter numbers 2^32 blocks of four words. Each further 2^32
/// blocks have a key of their own, which Philox draws from the seed.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint32_t stream = 0, std::uint64_t step = 0)
      : seed_(seed), step_(step), stream_(stream) {}

  /// The next 32 random bits. Throws Error after the last word.
  std::uint32_t bits32();
  /// The next 64 random bits: two words, the upper half first.
  std::uint64_t bits64();
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Uniform in [low, high): low + (high - low) uniform(), and the number before `high` where that
  /// rounds to `high`. Throws Error unless low < high and high - low is finite.
  double uniform(double low, double high);
  /// Uniform over the integers 0 .. bound-1, exactly (Lemire 2019, by rejection). A bound below
  /// 2^32 takes one word for each try, a larger one two. Throws Error for a bound of 0.
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(draw_below(bound)); }
  template <std::unsigned_integral T>
  requires(sizeof(T) == 8) T below(T bound) { return draw_below(bound); }
  /// Uniform over the integers low .. high, both included. Throws Error unless low <= high.
  std::int64_t integer(std::int64_t low, std::int64_t high);
  bool coin() { return (bits32() & 1) != 0; }
  /// Goes on as if `count` numbers had been drawn with uniform(). Throws Error when there are not
  /// so many left.
  void skip_uniforms(std::uint64_t count);

  /// state() is the whole state of a generator, from_state() a generator with that state.
  /// from_state() throws Error for numbers that state() cannot return.
  using State = std::array<std::int64_t, 5>;
  State state() const;
  static Random from_state(std::span<const std::int64_t> state);

 private:
  std::uint64_t draw_below(std::uint64_t bound);
  void draw_block();

  std::uint64_t seed_;
  std::uint64_t step_;
  std::uint64_t block_ = 0;  // the next one to draw
  std::uint32_t stream_;
  std::uint32_t used_ = 4;  // words of words_ already given
  std::array<std::uint32_t, 4> words_{};
};

/// The stream number of a name (FNV-1a, 32 bits). With it, the numbers that a parameter or a mask
/// draws depend on its name, and not on what else draws.
constexpr std::uint32_t stream_of(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return hash;
}

}  // namespace maskgrad
