// Results must not depend on where in memory an element stands: padding moves elements about.
#pragma once

#include <functional>

#include <gtest/gtest.h>

#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// All elements of f(x), and of its gradient, have the bits of the first, for constant x of several
/// lengths that start at every place of a cache line.
inline void expect_position_does_not_matter(const char* name,
                                            const std::function<Variable(const Variable&)>& f) {
  for (const DType dtype : kFloatingDTypes) {
    for (const double value : {0.1, 0.37, 1.3, 2.9}) {
      const Tensor memory = Tensor::full({64}, value, dtype);
      const Tensor one = Tensor::full({1}, 0.7, dtype);
      const Variable first = leaf(memory.view(0, {1}));
      Tape first_tape;
      const Variable y = f(first);
      first_tape.backward(y, one);
      for (const std::int64_t start : {0, 1, 3, 5, 15}) {
        const Variable x = leaf(memory.view(start, {37}));
        Tape tape;
        const Variable all = f(x);
        tape.backward(all, Tensor::full({37}, 0.7, dtype));
        for (std::int64_t i = 0; i < 37; ++i) {
          EXPECT_TRUE(same_bits(all.value().view(i, {1}), y.value()))
              << name << "(" << value << ") at " << i << " from " << start;
          EXPECT_TRUE(same_bits(x.grad().view(i, {1}), first.grad()))
              << "gradient of " << name << "(" << value << ") at " << i << " from " << start;
        }
      }
    }
  }
}

}  // namespace maskgrad::test
