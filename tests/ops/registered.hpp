// What the tests that walk the registry share: each operation on its own samples.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

inline std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const auto& [name, op] : registry()) names.push_back(name);
  return names;
}

/// A test of one registered operation; to be instantiated for op_names().
class EachOp : public ::testing::TestWithParam<std::string> {
 protected:
  const OpDef& op() const { return find_op(GetParam()); }
  /// The same samples at every call.
  std::vector<OpSample> samples() const {
    Random random(1, stream_of(op().name));
    return op().samples(random);
  }
};

inline std::string op_test_name(const ::testing::TestParamInfo<std::string>& op) {
  return op.param;
}

using maskgrad::call_of;

/// The outputs of a call, then the gradients of its leaves (undefined where none arrived).
struct Results {
  std::vector<Variable> outputs;
  std::vector<Tensor> grads;
};

/// Runs `call` forward, and backward from its first output with random gradients, holding `poison`
/// at the holes of that output.
inline Results run_both_ways(const OpDef& op, const OpCall& call, double poison = 0) {
  Tape tape;
  Results results{run_op(op, call), {}};
  const Variable& y = results.outputs.front();
  if (y.requires_grad()) {
    Random random(2, stream_of("grad_output"));
    // Rounded to float, so that both dtypes are given the same.
    Tensor g = uniform(random, y.shape()).to(DType::kFloat32).to(y.dtype());
    if (y.mask().defined()) fill_holes(g, y.mask(), poison);
    tape.backward(y, g);
  }
  for (const auto& [name, input] : call.inputs) {
    if (input.requires_grad()) results.grads.push_back(input.grad());
  }
  return results;
}

inline ::testing::AssertionResult same_bits(const Results& a, const Results& b) {
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    if (auto same = same_bits(a.outputs[i].value(), b.outputs[i].value()); !same) {
      return same << " of output " << i;
    }
  }
  for (std::size_t i = 0; i < a.grads.size(); ++i) {
    if (auto same = same_bits(a.grads[i], b.grads[i]); !same) return same << " of gradient " << i;
  }
  return ::testing::AssertionSuccess();
}

}  // namespace maskgrad::test
