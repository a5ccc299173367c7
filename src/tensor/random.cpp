#include <Random123/philox.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad {

void Random::draw_block() {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const r123::Philox4x32::ctr_type counter = {{block_++, stream_, low(step_), high(step_)}};
  const r123::Philox4x32::key_type key = {{low(seed_), high(seed_)}};
  const auto words = r123::Philox4x32()(counter, key);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] = words[i];
  used_ = 0;
}

std::uint32_t Random::bits32() {
  if (used_ == words_.size()) draw_block();
  return words_[used_++];
}

void Random::skip_words(std::uint64_t count) {
  const std::uint64_t next = 4 * std::uint64_t{block_} - 4 + used_ + count;
  block_ = static_cast<std::uint32_t>(next / 4);
  used_ = 4;
  if (next % 4 == 0) return;
  draw_block();
  used_ = static_cast<std::uint32_t>(next % 4);
}

double Random::uniform() {
  const std::uint64_t high = bits32() >> 5;  // 27 bits
  const std::uint64_t low = bits32() >> 6;   // 26 bits
  return static_cast<double>((high << 26) | low) * 0x1.0p-53;
}

std::uint32_t Random::below(std::uint32_t bound) {
  // The products below 2^32 mod bound would make some results likelier than others.
  const std::uint32_t threshold = (0u - bound) % bound;
  for (;;) {
    const std::uint64_t product = static_cast<std::uint64_t>(bits32()) * bound;
    if (static_cast<std::uint32_t>(product) >= threshold) {
      return static_cast<std::uint32_t>(product >> 32);
    }
  }
}

std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
  const std::uint64_t steps = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  check(low <= high && steps < 0xffffffffu, "random", "cannot draw from {}..{}", low, high);
  return low + below(static_cast<std::uint32_t>(steps) + 1);
}

}  // namespace maskgrad
