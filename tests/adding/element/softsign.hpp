// x / (1 + |x|), with a kernel.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

struct Softsign {
  template <class E>
  constexpr E operator()(const E& x) const {
    return x / (1 + abs(x));
  }
};
struct SoftsignGradient {
  template <class E>
  constexpr E operator()(const E& x, const E& g) const {
    const E d = 1 + abs(x);
    return g / (d * d);
  }
};

maskgrad::Variable softsign(const maskgrad::Variable& x);
