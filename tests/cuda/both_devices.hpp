// Functions of values that are run on the CPU and on the device, and must give the same bits.
#pragma once

#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/autograd/tape.hpp>

#include "cuda/on_cuda.hpp"
#include "support/tensors.hpp"

namespace maskgrad::test {

using Function = std::function<Variable(const std::vector<Variable>&)>;

/// `x` on a device. It begins `first` elements behind the beginning of a block of memory.
inline Tensor moved(const Tensor& x, Device device, std::int64_t first) {
  Tensor there = Tensor::empty({first + x.numel()}, x.dtype(), device).view(first, x.shape());
  there.copy_from(x);
  return there;
}

/// On the host: f of leaves on a device, and their gradients for a gradient that is drawn.
inline std::vector<Tensor> output_and_gradients(const Function& f,
                                                const std::vector<Tensor>& inputs,
                                                const SequenceMask& mask, Device device,
                                                std::int64_t first) {
  std::vector<Variable> leaves;
  for (const Tensor& x : inputs) leaves.push_back(leaf(moved(x, device, first), mask));
  Tape tape;
  const Variable y = f(leaves);
  Random random(9);
  tape.backward(y, uniform(random, y.shape()).to(y.dtype()).to(device));
  std::vector<Tensor> all = {y.value().to(Device{})};
  for (const Variable& x : leaves) {
    const Tensor g = x.grad();
    all.push_back(g.defined() ? g.to(Device{}) : Tensor::zeros({}, y.dtype()));
  }
  return all;
}

/// Both dtypes, each order of threads, and inputs that begin at any element.
inline void expect_bits_of_the_cpu(const Function& f, const std::vector<Tensor>& inputs,
                                   const SequenceMask& mask = {}) {
  for (const DType dtype : kFloatingDTypes) {
    std::vector<Tensor> given;
    for (const Tensor& x : inputs) given.push_back(x.to(dtype));
    const std::vector<Tensor> wanted = output_and_gradients(f, given, mask, Device{}, 0);
    std::int64_t first = 0;
    in_each_order([&] {
      const std::vector<Tensor> got = output_and_gradients(f, given, mask, kCuda, first++);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_TRUE(is_near(got[i], wanted[i]))
            << (i == 0 ? "output" : "gradient") << " of " << to_string(dtype);
      }
    });
  }
}

}  // namespace maskgrad::test
