// Rows of a table by token id.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y[..., :] = weight[tokens[...], :].
/// weight [V, D], tokens int32 or int64 [...] -> [..., D]. The mask of the tokens [B, S] is kept:
/// vectors of masked tokens are exactly 0, their ids are never read, and no row of the table gets a
/// gradient from them.
/// Throws Error naming the token and its place when an id is outside 0 .. V-1, and for a table that
/// carries a mask.
Variable embedding(const Variable& weight, const Variable& tokens);

}  // namespace maskgrad::ops
