#include <cmath>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/philox.hpp>

namespace maskgrad {
namespace {

using philox::high;
using philox::low;

constexpr std::uint64_t kBlocks = std::uint64_t{1} << 63;

}  // namespace

void Random::draw_block() {
  check(block_ < kBlocks, "random", "has given all of its numbers");
  words_ = philox::words_of_block(seed_, stream_, step_, block_);
  ++block_;
  used_ = 0;
}

Random::State Random::state() const {
  return {static_cast<std::int64_t>(seed_), static_cast<std::int64_t>(stream_),
          static_cast<std::int64_t>(step_), static_cast<std::int64_t>(block_),
          static_cast<std::int64_t>(used_)};
}

Random Random::from_state(std::span<const std::int64_t> state) {
  const bool is_one = state.size() == 5 && state[1] >= 0 && state[1] <= 0xffffffff &&
                      state[3] >= 0 && state[4] >= 0 && state[4] <= 4 &&
                      (state[3] > 0 || state[4] == 4);
  check(is_one, "random", "these numbers are no state of a generator");
  Random random(static_cast<std::uint64_t>(state[0]), static_cast<std::uint32_t>(state[1]),
                static_cast<std::uint64_t>(state[2]));
  random.block_ = static_cast<std::uint64_t>(state[3]);
  const auto used = static_cast<std::uint32_t>(state[4]);
  if (used == 4) return random;
  --random.block_;
  random.draw_block();
  random.used_ = used;
  return random;
}

std::uint32_t Random::bits32() {
  if (used_ == words_.size()) draw_block();
  return words_[used_++];
}

std::uint64_t Random::bits64() {
  const std::uint64_t upper = bits32();
  return upper << 32 | bits32();
}

void Random::skip_uniforms(std::uint64_t count) {
  // A number takes two words: half a block.
  const std::uint64_t first = used_ == words_.size() ? block_ : block_ - 1;
  const std::uint64_t words = used_ % words_.size() + 2 * (count % 2);
  const std::uint64_t blocks = count / 2 + words / words_.size(), left = kBlocks - first;
  const auto used = static_cast<std::uint32_t>(words % words_.size());
  check(blocks < left || (blocks == left && used == 0), "random", "has not {} numbers left to skip",
        count);
  block_ = first + blocks;
  used_ = 4;
  if (used == 0) return;
  draw_block();
  used_ = used;
}

double Random::uniform() {
  const std::uint32_t first = bits32();
  return philox::uniform_of(first, bits32());
}

double Random::uniform(double from, double to) {
  const double span = to - from;
  check(span > 0 && std::isfinite(span), "random", "cannot draw from [{}, {})", from, to);
  const double x = from + span * uniform();
  return x < to ? x : std::nextafter(to, from);
}

std::uint64_t Random::draw_below(std::uint64_t bound) {
  check(bound > 0, "random", "there is no number below 0");
  // The products below 2^32 (or 2^64) mod bound would make some results likelier than others.
  if (bound <= 0xffffffff) {
    const std::uint64_t threshold = (std::uint64_t{1} << 32) % bound;
    for (;;) {
      const std::uint64_t product = bits32() * bound;
      if (low(product) >= threshold) return high(product);
    }
  }
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{bits64()} * bound;
    if (static_cast<std::uint64_t>(product) >= threshold) {
      return static_cast<std::uint64_t>(product >> 64);
    }
  }
}

std::int64_t Random::integer(std::int64_t first, std::int64_t last) {
  check(first <= last, "random", "cannot draw from {}..{}", first, last);
  const auto start = static_cast<std::uint64_t>(first);
  const std::uint64_t count = static_cast<std::uint64_t>(last) - start + 1;
  // All integers are one more than can be counted.
  return static_cast<std::int64_t>(start + (count == 0 ? bits64() : draw_below(count)));
}

}  // namespace maskgrad
