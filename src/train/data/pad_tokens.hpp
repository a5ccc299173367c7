// Sequences of any lengths as one tensor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// y[b, s] = sequences[b][s], and `pad` behind the end of sequence b. int64 [B, S], where S is the
/// length of the longest sequence; [0, 0] for no sequences. (Keras: pad_sequences with
/// padding="post".)
Tensor pad_tokens(std::span<const std::vector<std::int64_t>> sequences, std::int64_t pad);

}  // namespace maskgrad
