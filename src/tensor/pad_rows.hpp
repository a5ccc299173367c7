// Rows of any lengths as one tensor.
#pragma once

#include <cstdint>
#include <span>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// y[b, s] = rows[b][s], and `pad` behind the end of row b. int64 [B, S], where S is the length of
/// the longest row, and `least` at least; [0, least] for no rows.
Tensor pad_rows(std::span<const std::span<const std::int64_t>> rows, std::int64_t pad,
                std::int64_t least = 0);

}  // namespace maskgrad
