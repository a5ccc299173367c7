// Operations on rows, run on a device and on the CPU.
#pragma once

#include <functional>
#include <vector>

#include <maskgrad/tensor/autograd/tape.hpp>

#include "cuda/on_cuda.hpp"
#include "support/tensors.hpp"

namespace maskgrad::test {

/// An operation on leaves.
using OnLeaves = std::function<Variable(const std::vector<Variable>&)>;

/// What f(inputs) gives on a device: the output, then the gradients of the inputs for a gradient
/// `g` that arrives, all brought to the host. `mask`: that of the first input.
inline std::vector<Tensor> run_on(Device device, const OnLeaves& f,
                                  const std::vector<Tensor>& inputs, const Tensor& g,
                                  const SequenceMask& mask = {}) {
  std::vector<Variable> leaves;
  for (const Tensor& x : inputs) {
    leaves.push_back(leaf(x.to(device), leaves.empty() ? mask : SequenceMask()));
  }
  Tape tape;
  const Variable y = f(leaves);
  tape.backward(y, g.to(device));
  std::vector<Tensor> all = {y.value().to(Device{})};
  for (const Variable& x : leaves) all.push_back(x.grad().to(Device{}));
  return all;
}

/// Expects that a device gives the numbers of the CPU in each order of threads.
inline void expect_those_of_the_cpu(const std::string& op, const OnLeaves& f,
                                    const std::vector<Tensor>& inputs, const Tensor& g,
                                    const SequenceMask& mask = {}) {
  const std::vector<Tensor> wanted = run_on({}, f, inputs, g, mask);
  in_each_order([&] {
    const std::vector<Tensor> got = run_on(kCuda, f, inputs, g, mask);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_TRUE(is_near(got[i], wanted[i], allowed_ulps(op, g.dtype())))
          << op << (i == 0 ? ", output of " : ", gradient of ") << to_string(inputs[0].shape());
    }
  });
}

}  // namespace maskgrad::test
