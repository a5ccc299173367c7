// Rows of a tensor moved as they are, and places filled, whatever the dtype. Internal to src/ops.
#pragma once

#include <span>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

// `name` is the operation that errors name.

/// y[i] = x[from[i]] along the first dimension. x [N, ...] -> [from.size(), ...]. The places are
/// not checked.
Tensor take_rows(const char* name, const Tensor& x, std::span<const std::int64_t> from);

/// y[to[i]] = x[i], and `fill` in the rows that no i names. x [K, ...] -> [rows, ...].
Tensor put_rows(const char* name, const Tensor& x, std::span<const std::int64_t> to,
                std::int64_t rows, Scalar fill);

/// y[to[i]] = x[i]; other rows of y stay as they are.
void place_rows(const char* name, const Tensor& x, std::span<const std::int64_t> to, Tensor& y);

/// Where a bool [N] is true, as int64 [K].
Tensor true_places(const Tensor& mask);

}  // namespace maskgrad::ops
