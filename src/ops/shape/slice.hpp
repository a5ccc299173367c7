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
/// Python. A negative begin or end counts from the end of the dimension. dx = g at the entries that
/// were taken, and 0 elsewhere. A mask [B, S]: along a later axis it is kept; along B or S the same
/// part of it is taken. Throws Error for a part outside of the dimension (nothing is clamped), for
/// begin > end, and for a step below 1.
Variable slice(const Variable& x, std::int64_t axis, std::int64_t begin, std::int64_t end = kToEnd,
               std::int64_t step = 1);

/// Cuts x along `axis` into parts of these sizes, one after another. concat() joins them again.
/// dx joins the gradients of the parts, with 0 for a part that got none. Masks are treated as by
/// slice(). Throws Error for a negative size, and for sizes that do not add up to the dimension.
PoolVector<Variable> split(const Variable& x, std::span<const std::int64_t> sizes,
                           std::int64_t axis);
PoolVector<Variable> split(const Variable& x, std::initializer_list<std::int64_t> sizes,
                           std::int64_t axis);

}  // namespace maskgrad::ops
