// Which keys stand within a distance of a query. Internal to src/layers.
//
// The distance of two positions is that of their numbers (Pass::positions()), so neither padding
// between them nor packing changes it.
#pragma once

#include <span>

#include <maskgrad/layers/pass.hpp>

namespace maskgrad {

/// The pairs of x [B, S, ...] whose distance is at most reaches[h]: [B or 1, H, S, keys]. `keys` is
/// what the plan of attention within x has. Positions that do not exist see nothing. On a packed
/// row, windows reach into the sequences beside.
AttentionMask within_reach(const Variable& x, Pass& pass, std::span<const std::int64_t> reaches,
                           std::int64_t keys);

/// The distances of the pairs, but at most `most`: int64 [B or 1, S, keys]; 0 for pairs of
/// positions that do not exist. On a packed row those of places in the row.
Tensor distances(const Variable& x, Pass& pass, std::int64_t most, std::int64_t keys);

/// `plan` without the pairs that `pairs` leaves out.
ops::AttentionPlan narrowed(const ops::AttentionPlan& plan, const AttentionMask& pairs);

}  // namespace maskgrad
