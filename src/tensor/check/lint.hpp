// Masks that are probably not what was meant.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {

/// What looks wrong about a mask for the data x [B, S, ...], a line each; empty when nothing does:
///   other positions than x has; nothing kept; everything kept; sequences without any position;
///   tokens (x int32 or int64 [B, S]) of which it keeps the padding, and leaves out the rest: it
///   looks inverted. True means keep.
std::vector<std::string> lint_mask(const SequenceMask& mask, const Tensor& x, std::int64_t pad = 0);

/// The same for pairs of queries [..., S, D] and keys [..., T, D]: other sizes; nothing or
/// everything kept; queries with nothing to attend to; causal given twice.
std::vector<std::string> lint_mask(const AttentionMask& mask, const Tensor& queries,
                                   const Tensor& keys);

}  // namespace maskgrad
