// One value times several matrices, with biases or without.
#pragma once

#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y[i] = x weights[i]: x [..., K], n weights [K, N] -> [n, ..., N].
/// Gives the same bits as n calls of matmul(), except for matrices so large that matmul() leaves
/// them to OpenBLAS. The n products take one pass over x. The gradient of x is one sum, not n
/// tensors that are added.
/// Throws Error for no weights, for shapes or dtypes that do not fit, and for a weight that carries
/// a mask. Throws Error for an x that carries one, because B and S do not come first in y: call
/// fill_masked() before.
Variable stacked_matmul(const Variable& x, std::span<const Variable* const> weights);
Variable stacked_matmul(const Variable& x, std::initializer_list<const Variable*> weights);

/// y[i] = x weights[i] + biases[i]: n biases [N] besides. Gives the same bits as n calls of
/// linear(), with the same exception. Throws Error as stacked_matmul(), and for another number of
/// biases.
Variable stacked_linear(const Variable& x, std::span<const Variable* const> weights,
                        std::span<const Variable* const> biases);
Variable stacked_linear(const Variable& x, std::initializer_list<const Variable*> weights,
                        std::initializer_list<const Variable*> biases);

}  // namespace maskgrad::ops
