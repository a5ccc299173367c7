// Attention from one position of each sample, as text is generated. Internal to attention.
#pragma once

#include <maskgrad/ops/cpu/attention/problem.hpp>

namespace maskgrad::ops {

/// Whether attend_from_one_position() computes this: one query, whose heads share a row and attend
/// to the first keys alike, with neither bias nor cap nor dropout.
bool is_one_position(const AttentionProblem& problem);

/// What fused_attention() makes, with the same bits. values.k holds the keys in blocks
/// (key_blocks.hpp).
void attend_from_one_position(const AttentionProblem& problem, const Shape& output,
                              AttentionValues& values);

}  // namespace maskgrad::ops
