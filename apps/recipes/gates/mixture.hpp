// Candidates that a softmax gate mixes.
#pragma once

#include <cstdint>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/gates/softmax_gate.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad::apps {

/// y = sum_k g_k tanh(x w_k + b_k), g = softmax(x w). x [..., D] -> [..., D].
class Mixture : public Layer {
 public:
  Mixture(std::int64_t features, std::int64_t candidates)
      : Layer("Mixture", MaskRule::kKeeps),
        candidates_(candidates),
        all_(submodule("candidates",
                       std::make_unique<Dense>(features, candidates * features, ops::tanh))),
        gate_(submodule("gate", std::make_unique<SoftmaxGate>(features, candidates))) {}

 protected:
  Variable forward(const Variable& x, Pass& pass) override {
    const Shape values = x.shape().with_dim(-1, candidates_).concat({x.dim(-1)});
    return gate_.mix(x, ops::reshape(all_(x, pass), values.dims()), pass);
  }

 private:
  std::int64_t candidates_;
  Dense& all_;
  SoftmaxGate& gate_;
};

}  // namespace maskgrad::apps
