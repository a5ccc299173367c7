// What random numbers are made of. Functions here are constexpr, so that kernels may call them.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <maskgrad/tensor/random.hpp>

namespace maskgrad::philox {

using Words = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

/// Philox4x32-10 (Salmon et al. 2011, section 3.3 and table 2).
constexpr Words words_of(Words counter, Key key) {
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0],
                        b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

/// The key of blocks part * 2^32 and on: the seed's own for the first part.
constexpr Key key_of(std::uint64_t seed, std::uint32_t part) {
  constexpr std::uint32_t kStream = stream_of("key");
  const Key own = {low(seed), high(seed)};
  if (part == 0) [[likely]]
    return own;
  const Words words = words_of({part, kStream, 0, 0}, own);
  return {words[0], words[1]};
}

/// Block `block` of the words of a generator; see Random.
constexpr Words words_of_block(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                               std::uint64_t block) {
  return words_of({low(block), stream, low(step), high(step)}, key_of(seed, high(block)));
}

/// A number in [0, 1), a multiple of 2^-53.
constexpr double uniform_of(std::uint32_t first, std::uint32_t second) {
  const std::uint64_t upper = first >> 5, lower = second >> 6;  // 27 and 26 bits
  return static_cast<double>((upper << 26) | lower) * 0x1.0p-53;
}

/// The uniform numbers of a generator by their places: number n is what it would give after n
/// others. Requires that it has so many left.
class UniformNumbers {
 public:
  /// `state` as Random::state() gives it. A kernel reads it from an upload: its own arguments are
  /// the same in each step, and a seed is not.
  constexpr explicit UniformNumbers(std::span<const std::int64_t, 5> state)
      : seed_(static_cast<std::uint64_t>(state[0])),
        step_(static_cast<std::uint64_t>(state[2])),
        block_(static_cast<std::uint64_t>(state[3]) - (state[4] < 4)),
        stream_(static_cast<std::uint32_t>(state[1])),
        given_(static_cast<std::uint32_t>(state[4]) % 4) {}
  explicit UniformNumbers(const Random& random) : UniformNumbers(random.state()) {}

  constexpr double operator()(std::uint64_t n) const {
    const Pair pair = pair_of(n);
    return n % 2 == 0 ? pair.first : pair.second;
  }
  /// Numbers 2k and 2k + 1, of which n is one. They are drawn at once.
  struct Pair {
    double first, second;
  };
  constexpr Pair pair_of(std::uint64_t n) const {
    Words words = words_at(n / 2);
    if (given_ > 0) {
      Words next = words_at(n / 2 + 1);
      for (std::uint32_t i = 0; i < given_; ++i) {
        words = {words[1], words[2], words[3], next[0]};
        next = {next[1], next[2], next[3], 0};
      }
    }
    return {uniform_of(words[0], words[1]), uniform_of(words[2], words[3])};
  }

 private:
  constexpr Words words_at(std::uint64_t block) const {
    return words_of_block(seed_, stream_, step_, block_ + block);
  }

  std::uint64_t seed_, step_, block_;  // the block of number 0
  std::uint32_t stream_, given_;       // words of that block that were given before
};

}  // namespace maskgrad::philox
