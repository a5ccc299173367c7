// Parts of a value along a dimension.
#pragma once

#include <initializer_list>
#include <limits>
#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad::ops {

/// The end of a dimension, whatever its size.
inline constexpr std::int64_t kToEnd = std::numeric_limits<std::int64_t>::max();

/// Entries begin, begin + step, ... before `end` along `axis`, as x[..., begin:end:step, ...] in
/// Python. A negative begin or end counts from the end of the dimension. dx = g where it was taken,
/// 0 elsewhere. A mask [B, S]: along a later axis it is kept; along B or S the same part of it is
/// taken. Throws Error for a part outside of the dimension (nothing is clamped), begin > end, and a
/// step below 1.
Variable slice(const Variable& x, std::int64_t axis, std::int64_t begin, std::int64_t end = kToEnd,
               std::int64_t step = 1);

/// Slices of these sizes one after another, which concat() puts together again. One operation: its
/// gradient puts those of the parts into place, 0 where none arrived. Masks as slice().
/// Throws Error for a negative size, and sizes that do not add up to the dimension.
PoolVector<Variable> split(const Variable& x, std::span<const std::int64_t> sizes,
                           std::int64_t axis);
PoolVector<Variable> split(const Variable& x, std::initializer_list<std::int64_t> sizes,
                           std::int64_t axis);

}  // namespace maskgrad::ops
