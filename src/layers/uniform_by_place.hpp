// Random numbers that stay with their positions.
#pragma once

#include <string_view>

#include <maskgrad/layers/pass.hpp>

namespace maskgrad {

/// A number for each position of x [B, S, ...] that exists, uniform in [0, 1), and 0 for the
/// others: float64 [B, S]. A position takes the number of Pass::random(use) that has the number of
/// its place, so padding, packing and threads change nothing. Throws Error in inference, and as
/// Pass::places().
Tensor uniform_by_place(const Variable& x, Pass& pass, std::string_view use);

}  // namespace maskgrad
