// What the tests of TaskGate and TaskQuery share.
#pragma once

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/layers/task_gate/task_gate.hpp>
#include <maskgrad/layers/task_gate/task_query.hpp>

#include "layers/adaptive_attention/attention_support.hpp"

namespace maskgrad::test {

/// Experts that look at each position by itself.
inline Experts dense_experts(std::int64_t features, int count = 3) {
  Experts experts;
  for (int c = 0; c < count; ++c) {
    experts.push_back(std::make_unique<Dense>(features, features, ops::tanh));
  }
  return experts;
}
inline Experts attention_experts(std::int64_t features, int count = 3) {
  Experts experts;
  for (int c = 0; c < count; ++c) {
    experts.push_back(std::make_unique<MultiHeadAttention>(features, 1));
  }
  return experts;
}

/// 3 sequences of 5 with padding behind them alone. In front of a sequence, or within it, padding
/// moves the blocks of a mean.
inline SequenceMask padded_behind() {
  return mask_of({1, 1, 1, 1, 0, /**/ 1, 1, 0, 0, 0, /**/ 1, 1, 1, 1, 1}, {3, 5});
}

/// A mixture that infers even where its model trains.
class Inferring : public Layer {
 public:
  explicit Inferring(std::unique_ptr<ExpertMixture> mixture)
      : Layer("Inferring", OfLayers{}), mixture_(submodule("mixture", std::move(mixture))) {}
  Variable forward(const Variable& x, Pass&) override {
    Pass pass;
    return mixture_(x, pass);
  }

 private:
  ExpertMixture& mixture_;
};

}  // namespace maskgrad::test
