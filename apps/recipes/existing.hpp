// Which tokens of a batch of arithmetic are there.
#pragma once

#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/dataset.hpp>

namespace maskgrad::apps {

/// The tokens [B, S] that are no padding.
inline SequenceMask existing(const Tensor& tokens) {
  return SequenceMask::from_tokens(tokens, kPadToken);
}
inline SequenceMask existing(const Batch& batch) { return existing(batch.inputs); }

}  // namespace maskgrad::apps
