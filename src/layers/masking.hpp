// Tokens -> tokens that carry a mask.
#pragma once

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// Marks padding: tokens int32 or int64 [B, S] -> the same tokens, masked where they equal `pad`.
/// Makes a mask. (Keras: Masking, Embedding(mask_zero=True).)
class Masking : public Layer {
 public:
  explicit Masking(std::int64_t pad = 0) : Layer("Masking", MaskRule::kMakes), pad_(pad) {}

 protected:
  Variable forward(const Variable& tokens, Pass&) override {
    return Variable(tokens.value(), Variable::kConstant,
                    SequenceMask::from_tokens(tokens.value(), pad_));
  }

 private:
  std::int64_t pad_;
};

}  // namespace maskgrad
