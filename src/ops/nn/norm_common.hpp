// What the normalisations share. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad::ops {

/// Throws Error for an eps that is below 0, not finite, or does not fit this dtype.
void check_eps(const OpDef& op, double eps, DType dtype);

/// Throws Error for a masked x [B, S], whose features are positions. `instead` says what to do.
void check_no_masked_features(const OpDef& op, const Variable& x, const char* instead);

/// The gradient of a weight [D]: the sums of g xhat over the rows of g and xhat [..., D].
void sum_products_into(const OpDef& op, const Tensor& g, const Tensor& xhat, Tensor& sums);

}  // namespace maskgrad::ops
