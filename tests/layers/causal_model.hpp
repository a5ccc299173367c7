// A language model for the tests of prove_causal().
#pragma once

#include <string>
#include <utility>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/prove_causal.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>

#include "support/masks.hpp"

namespace maskgrad::test::causal {

inline constexpr std::int64_t kVocabulary = 9, kBatch = 3, kLength = 5, kFeatures = 8;

/// [kBatch, kLength]
inline Variable tokens(SequenceMask mask = {}) {
  return Variable(
      Tensor::from<std::int64_t>({1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 5, 7, 2, 4, 6}, {kBatch, kLength}),
      Variable::kConstant, std::move(mask));
}
/// Padding before, between and behind.
inline SequenceMask some_mask() {
  return mask_of({1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0}, {kBatch, kLength});
}

inline TransformerOptions small() {
  return {.features = kFeatures, .heads = 2, .hidden = 12, .layers = 2};
}

/// An embedding, what a test adds, and a head.
class Model {
 public:
  Model() { layers.add<Embed>("embed", kVocabulary, kFeatures); }

  template <class L, class... Args>
  Model& add(const std::string& name, Args&&... args) {
    layers.add<L>(name, std::forward<Args>(args)...);
    return *this;
  }

  CausalProof prove(const Variable& on, const AttentionMask& pairs = {}) {
    layers.add<Dense>("head", kFeatures, kVocabulary);
    const ParameterBuffer parameters(layers, DType::kFloat32, 1);
    const auto run = [&](const Variable& x, Pass& pass) {
      if (pairs.defined()) pass.set_pairs(pairs);
      return layers(x, pass);
    };
    return prove_causal(run, on);
  }

  Sequential layers;
};

}  // namespace maskgrad::test::causal
