// Values one after another along a dimension.
#pragma once

#include <initializer_list>
#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Joins values along `axis`. They have one dtype, and the same sizes except along `axis`. Each
/// value gets its part of g.
/// Masks [B, S]: along a later axis all values carry the same mask, and it is kept. Along B or S
/// the masks are joined too; a value without a mask exists everywhere.
/// Throws Error for no values, for scalars, and for other sizes, dtypes or masks.
Variable concat(std::span<const Variable> values, std::int64_t axis);
Variable concat(std::initializer_list<Variable> values, std::int64_t axis);

}  // namespace maskgrad::ops
