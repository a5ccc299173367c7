// Tokens -> vectors.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/nn/embedding.hpp>

namespace maskgrad {

/// y[b, s] = weight[tokens[b, s]], and 0 where the token is masked. Keeps the mask.
/// tokens int32 or int64 [B, S] -> [B, S, D]. Parameter: weight [V, D], Glorot-uniform.
class Embed : public Layer {
 public:
  Embed(std::int64_t vocabulary, std::int64_t features)
      : Layer("Embed", MaskRule::kKeeps),
        weight_(parameter("weight", {vocabulary, features}, glorot_uniform())) {}

  /// x weight^T, the product of x with each token's vector: logits of the next token with tied
  /// embeddings (Press & Wolf 2017). Keeps the mask. x [B, S, D] -> [B, S, V].
  Variable logits(const Variable& x) const {
    return ops::matmul(x, weight_, /*transpose_a=*/false, /*transpose_b=*/true);
  }

  /// It multiplies nothing.
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }

 protected:
  Variable forward(const Variable& tokens, Pass&) override {
    return ops::embedding(weight_, tokens);
  }

 private:
  Parameter& weight_;
};

}  // namespace maskgrad
