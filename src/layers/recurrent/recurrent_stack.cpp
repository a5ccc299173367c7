#include <cmath>

#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/recurrent/recurrent_stack.hpp>
#include <maskgrad/ops/shape/concat.hpp>

namespace maskgrad {

void RecurrentSizes::check_all(const char* kind) const {
  check(features > 0 && hidden > 0 && layers > 0, kind,
        "needs features, hidden and layers above 0, got {}, {} and {}", features, hidden, layers);
}

Initializer recurrent_start(std::int64_t hidden) {
  return uniform(1 / std::sqrt(static_cast<double>(hidden)));
}

ops::RecurrentOptions RecurrentCall::options(bool reverse) const {
  const ops::Packing* const packing = pass.packing();
  if (!packing) return {.reverse = reverse};
  return {.reverse = reverse, .segments = packing->segments, .sequences = packing->mask.shape()[0]};
}

void RecurrentCall::check_all(const Variable& x, std::size_t states, std::size_t directions) const {
  check_sequences(kind, x, features);
  check(!pass.is_reading(), kind,
        "has states, which a cache of keys and values does not hold; run() it from them in a pass "
        "of its own");
  check(states == 0 || states == directions, kind, "needs {} states to begin with, got {}",
        directions, states);
}

Variable side_by_side(const Variable& forward, const Variable& backward) {
  return ops::concat({forward, backward}, 2);
}

}  // namespace maskgrad
