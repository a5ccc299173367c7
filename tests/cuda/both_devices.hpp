// Functions of values that are run on the CPU and on a device.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/print.hpp>

#include "cuda/on_cuda.hpp"
#include "support/tensors.hpp"

namespace maskgrad::test {

/// Of leaves.
using Function = std::function<Variable(const std::vector<Variable>&)>;

/// `x` on a device. It begins `first` elements behind the beginning of a block of memory.
inline Tensor moved(const Tensor& x, Device device, std::int64_t first) {
  Tensor there = Tensor::empty({first + x.numel()}, x.dtype(), device).view(first, x.shape());
  there.copy_from(x);
  return there;
}

/// What f(inputs) gives on a device: the output, then the gradients of the inputs, for the gradient
/// `g` of the output, or for one that is drawn. All brought to the host; a gradient that does not
/// come is a scalar 0. `mask`: that of the first input. `first`: of moved().
inline std::vector<Tensor> run_on(Device device, const Function& f,
                                  const std::vector<Tensor>& inputs, const Tensor& g = {},
                                  const SequenceMask& mask = {}, std::int64_t first = 0) {
  std::vector<Variable> leaves;
  for (const Tensor& x : inputs) {
    leaves.push_back(leaf(moved(x, device, first), leaves.empty() ? mask : SequenceMask()));
  }
  Tape tape;
  const Variable y = f(leaves);
  Random random(9);
  const Tensor arrives = g.defined() ? g : uniform(random, y.shape()).to(y.dtype());
  tape.backward(y, arrives.to(device));
  std::vector<Tensor> all = {y.value().to(Device{})};
  for (const Variable& x : leaves) {
    const Tensor grad = x.grad();
    all.push_back(grad.defined() ? grad.to(Device{}) : Tensor::zeros({}, y.dtype()));
  }
  return all;
}

/// Expects that the device gives what the CPU gives, up to so many units in the last place, in each
/// order of threads, for inputs that begin at any element.
inline void expect_within(double ulps, const Function& f, const std::vector<Tensor>& inputs,
                          const Tensor& g = {}, const SequenceMask& mask = {}) {
  const std::vector<Tensor> wanted = run_on({}, f, inputs, g, mask);
  std::int64_t first = 0;
  in_each_order([&] {
    const std::vector<Tensor> got = run_on(kCuda, f, inputs, g, mask, first++);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_TRUE(is_near(got[i], wanted[i], ulps))
          << fmt::format("{} of {} {}", i == 0 ? "output" : "gradient",
                         to_string(inputs[0].dtype()), inputs[0].shape());
    }
  });
}

/// Up to what an operation is allowed.
inline void expect_those_of_the_cpu(const std::string& op, const Function& f,
                                    const std::vector<Tensor>& inputs, const Tensor& g,
                                    const SequenceMask& mask = {}) {
  SCOPED_TRACE(op);
  expect_within(allowed_ulps(op, g.dtype()), f, inputs, g, mask);
}

/// Not a bit, in both dtypes.
inline void expect_bits_of_the_cpu(const Function& f, const std::vector<Tensor>& inputs,
                                   const SequenceMask& mask = {}) {
  for (const DType dtype : kFloatingDTypes) {
    std::vector<Tensor> given;
    for (const Tensor& x : inputs) given.push_back(x.to(dtype));
    expect_within(0, f, given, {}, mask);
  }
}

}  // namespace maskgrad::test
