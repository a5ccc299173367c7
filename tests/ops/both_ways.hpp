// One input through an operation and back.
#pragma once

#include <functional>

#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

struct BothWays {
  Tensor y, dx;
};

/// f(x), and the gradient of x for this gradient of f(x).
inline BothWays both_ways(const std::function<Variable(const Variable&)>& f, const Tensor& x,
                          const Tensor& grad_output) {
  const Variable input = leaf(x);
  Tape tape;
  const Variable y = f(input);
  tape.backward(y, grad_output);
  return {y.value(), input.grad()};
}

}  // namespace maskgrad::test
