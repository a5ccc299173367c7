// Loops of a fixed number of rounds, written out. Installed for ops/cuda/elements.hpp.
#pragma once

#include <utility>

#include <maskgrad/ops/functors/rule.hpp>

// Of a lambda: always inlined.
#define MASKGRAD_INLINE __attribute__((always_inline))

namespace maskgrad::ops {

namespace detail {

// f(0), f(1), ... f(n - 1), written out: what is indexed by them can live in registers. Give it a
// lambda that is MASKGRAD_INLINE, else GCC may call it, which moves all it refers to into memory.
template <int n, class F>
MASKGRAD_RULE inline void unrolled(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) MASKGRAD_INLINE {
    (f(std::integral_constant<int, i>()), ...);
  }
  (std::make_integer_sequence<int, n>());
}

}  // namespace detail

}  // namespace maskgrad::ops
