// Masks that are probably not what was meant.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {

/// Returns what looks wrong about a mask for the data x [B, S, ...], a line each; empty when
/// nothing does. It looks for:
///   a mask that says nothing, or whose [B, S] differs from that of x;
///   a mask that keeps no position or all of them;
///   sequences without any position;
///   a mask that looks inverted, for tokens x (int32 or int64 [B, S]): most tokens that it keeps
///   are `pad`, and most that it leaves out are not. True means keep.
/// Throws Error when x has no value.
std::vector<std::string> lint_mask(const SequenceMask& mask, const Tensor& x, std::int64_t pad = 0);

/// The same for pairs of queries [..., S, D] and keys [..., T, D]. It looks for a mask that says
/// nothing or has another S or T, that keeps no pair or all of them, for queries with nothing to
/// attend to, and for a recipe with causal() twice. Throws Error when the data have no value.
std::vector<std::string> lint_mask(const AttentionMask& mask, const Tensor& queries,
                                   const Tensor& keys);

}  // namespace maskgrad
