// Values one after another along a dimension.
#pragma once

#include <initializer_list>
#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Values of one dtype and of the same sizes except along `axis`, one after another; each gets its
/// part of g. Masks [B, S]: along a later axis all values carry the same one, which is kept; along
/// B or S they are put together, and a value without one exists everywhere. Throws Error for no
/// values, or other sizes, dtypes or masks.
Variable concat(std::span<const Variable> values, std::int64_t axis);
Variable concat(std::initializer_list<Variable> values, std::int64_t axis);

}  // namespace maskgrad::ops
