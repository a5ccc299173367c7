// Recurrent networks made of plain operations, a step at a time: what the fused ones are compared
// with.
#pragma once

#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/recurrent.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/masks.hpp"

namespace maskgrad::test {

/// A batch of gates [B, S, G H] and the parameters that go with them.
struct RecurrentBatch {
  static constexpr std::int64_t kHidden = 5;

  RecurrentBatch(Random& random, std::int64_t width, std::int64_t batch, std::int64_t length,
                 SequenceMask mask_of_gates, DType dtype = DType::kFloat64)
      : mask(std::move(mask_of_gates)),
        gates(leaf(uniform(random, {batch, length, width * kHidden}).to(dtype), mask)),
        w_h(leaf(uniform(random, {kHidden, width * kHidden}, -1, 1).to(dtype))),
        b_h(leaf(uniform(random, {width * kHidden}, -1, 1).to(dtype))),
        h(leaf(uniform(random, {batch, kHidden}, -1, 1).to(dtype))),
        c(leaf(uniform(random, {batch, kHidden}, -1, 1).to(dtype))) {}

  SequenceMask mask;
  Variable gates, w_h, b_h, h, c;
};

/// Output and last states of either network.
struct RecurrentResult {
  std::vector<Variable> all;  // output, h, and c of an LSTM
};

inline RecurrentResult fused(bool is_lstm, const RecurrentBatch& x, bool reverse) {
  if (is_lstm) {
    const auto [output, last] = ops::lstm(x.gates, x.w_h, {x.h, x.c}, {.reverse = reverse});
    return {{output, last.h, last.c}};
  }
  const auto [output, last] = ops::gru(x.gates, x.w_h, x.b_h, x.h, {.reverse = reverse});
  return {{output, last}};
}

/// One step of states [B, H], from gates [B, G H].
inline std::vector<Variable> lstm_step(const RecurrentBatch& x, const Variable& gates,
                                       const std::vector<Variable>& states) {
  constexpr std::int64_t n = RecurrentBatch::kHidden;
  const auto parts = ops::split(ops::add(gates, ops::matmul(states[0], x.w_h)), {n, n, n, n}, -1);
  const Variable i = ops::sigmoid(parts[0]), f = ops::sigmoid(parts[1]), g = ops::tanh(parts[2]),
                 o = ops::sigmoid(parts[3]);
  const Variable c = ops::add(ops::multiply(f, states[1]), ops::multiply(i, g));
  return {ops::multiply(o, ops::tanh(c)), c};
}
inline std::vector<Variable> gru_step(const RecurrentBatch& x, const Variable& gates,
                                      const std::vector<Variable>& states) {
  constexpr std::int64_t n = RecurrentBatch::kHidden;
  const auto of_input = ops::split(gates, {n, n, n}, -1);
  const auto of_state = ops::split(ops::linear(states[0], x.w_h, x.b_h), {n, n, n}, -1);
  const Variable r = ops::sigmoid(ops::add(of_input[0], of_state[0]));
  const Variable z = ops::sigmoid(ops::add(of_input[1], of_state[1]));
  const Variable candidate = ops::tanh(ops::add(of_input[2], ops::multiply(r, of_state[2])));
  // h' = n + z (h - n)
  return {ops::add(candidate, ops::multiply(z, ops::subtract(states[0], candidate)))};
}

/// The whole scan. The gates of `x` carry no mask here: holes are selected away, step by step.
inline RecurrentResult composed(bool is_lstm, const RecurrentBatch& x, const Tensor& keep,
                                bool reverse) {
  const std::int64_t batch = x.gates.dim(0), length = x.gates.dim(1);
  std::vector<Variable> states = {x.h}, outputs(static_cast<std::size_t>(length));
  if (is_lstm) states.push_back(x.c);
  const Variable zero(Tensor::zeros(x.h.shape(), x.h.dtype()));
  for (std::int64_t t = 0; t < length; ++t) {
    const std::int64_t s = reverse ? length - 1 - t : t;
    const Variable gates = ops::reshape(ops::slice(x.gates, 1, s, s + 1), {batch, x.gates.dim(2)});
    Tensor exists = Tensor::empty({batch, 1}, DType::kBool);
    for (std::int64_t b = 0; b < batch; ++b) {
      exists.data<bool>()[b] = keep.data<bool>()[b * length + s];
    }
    const auto next = is_lstm ? lstm_step(x, gates, states) : gru_step(x, gates, states);
    for (std::size_t k = 0; k < states.size(); ++k) {
      states[k] = ops::where(exists, next[k], states[k]);
    }
    outputs[static_cast<std::size_t>(s)] =
        ops::reshape(ops::where(exists, next[0], zero), {batch, 1, RecurrentBatch::kHidden});
  }
  RecurrentResult result = {{ops::concat(outputs, 1)}};
  result.all.insert(result.all.end(), states.begin(), states.end());
  return result;
}

inline Tensor all_of(const SequenceMask& mask, const Shape& shape) {
  return mask.defined() ? mask.bits() : Tensor::full(shape, 1, DType::kBool);
}

/// Weights for a loss of all outputs, drawn anew.
inline std::vector<Tensor> weights_for(const std::vector<Variable>& outputs) {
  Random random(9);
  std::vector<Tensor> weights;
  for (const Variable& y : outputs) {
    weights.push_back(uniform(random, y.shape()).to(y.dtype()));
  }
  return weights;
}

/// The gradients of the leaves, with weights for a loss.
inline std::vector<Tensor> gradients(Tape& tape, const std::vector<Variable>& outputs,
                                     const std::vector<Tensor>& weights,
                                     const std::vector<Variable>& leaves) {
  Variable loss(Tensor::zeros({}, outputs[0].dtype()));
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const Variable plain = drop_mask(outputs[k]);
    loss = ops::add(loss, ops::sum(ops::multiply(plain, Variable(weights[k]))));
  }
  tape.backward(loss);
  std::vector<Tensor> all;
  for (Variable leaf : leaves) {
    all.push_back(leaf.grad().clone());
    leaf.clear_grad();
  }
  return all;
}

/// Outputs, and gradients of leaves.
struct RecurrentBothWays {
  std::vector<Variable> outputs;
  std::vector<Tensor> gradients;
};

inline RecurrentBothWays run_fused(bool is_lstm, const RecurrentBatch& x, bool reverse,
                                   const std::vector<Variable>& leaves,
                                   std::vector<Tensor> weights = {}) {
  Tape tape;
  const std::vector<Variable> outputs = fused(is_lstm, x, reverse).all;
  if (weights.empty()) weights = weights_for(outputs);
  return {outputs, gradients(tape, outputs, weights, leaves)};
}

inline void expect_same(const RecurrentBothWays& a, const RecurrentBothWays& b) {
  for (std::size_t k = 0; k < a.outputs.size(); ++k) {
    EXPECT_TRUE(same_bits(a.outputs[k].value(), b.outputs[k].value())) << "output " << k;
  }
  for (std::size_t k = 0; k < a.gradients.size(); ++k) {
    EXPECT_TRUE(same_bits(a.gradients[k], b.gradients[k])) << "gradient " << k;
  }
}

/// Masks with padding behind and before, holes, and a sequence with nothing.
inline std::vector<SequenceMask> masks() {
  return {SequenceMask(), mask_of({1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}, {3, 4}),
          mask_of({0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1}, {3, 4})};
}

/// For both cells: true is LSTM.
class Recurrent : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr std::int64_t kHidden = RecurrentBatch::kHidden;
  static bool is_lstm() { return GetParam(); }
  static std::int64_t width() { return is_lstm() ? 4 : 3; }
  // An LSTM reads no b_h, a GRU no c.
  static std::vector<Variable> leaves(const RecurrentBatch& x) {
    if (is_lstm()) return {x.gates, x.w_h, x.h, x.c};
    return {x.gates, x.w_h, x.b_h, x.h};
  }
};

}  // namespace maskgrad::test
