// One value times several matrices.
#pragma once

#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y[i] = x weights[i]: x [..., K], n weights [K, N] -> [n, ..., N]. The same bits as n matmul(),
/// but for matrices so large that matmul() leaves them to OpenBLAS; in one pass over x, and
/// backward in one over what arrives, with one gradient of x instead of a sum of n. Throws Error
/// for no weights, shapes or dtypes that do not fit, and values that carry a mask: the positions of
/// x are not where they were. fill_masked() it first.
Variable stacked_matmul(const Variable& x, std::span<const Variable* const> weights);
Variable stacked_matmul(const Variable& x, std::initializer_list<const Variable*> weights);

}  // namespace maskgrad::ops
