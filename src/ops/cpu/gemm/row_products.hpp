// The rows of a value times one matrix: matmul by weights, linear. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cpu/gemm/gemm.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_each.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::ops {

/// The rows of x [B, ..., K], of B samples, times `matrices` of shape w [K, N]; x [K] is one row.
RowsTimesEach rows_times_each(const Tensor& x, std::int64_t matrices, const Shape& w);

/// y = x op(w), then + bias [N] and max(., 0) where said. x [..., K], op(w) [K, N] -> [..., N].
/// `bias` may be undefined where relu is not wanted. Sizes and dtypes have been checked.
Tensor rows_times(const Tensor& x, const Tensor& w, bool transpose_w, const Tensor& bias = {},
                  bool relu = false);

/// dw of the above, into a tensor of w's shape: the sum over rows of x^T g, or of its transpose.
/// Unless w was transposed, `sums` may be a tensor [N] that gets the sums of g over its rows.
void sum_outer_products(const Tensor& x, const Tensor& g, bool transpose_w, Tensor& dw,
                        Tensor sums = {});

/// The sums of g [rows, n] over its rows, [n], in the order in which those of dw are added.
void sum_of_rows(const RowsTimesEach& product, const Tensor& g, Tensor sums);

/// Fills in the gradients of the above that are needed: of input 0, x, g op(w)^T; of input 1, w,
/// the sum of outer products; where has_bias, of input 2, the sums of g over its rows. Where the
/// mask of x leaves rows out, those of g hold 0, and whatever x holds there does not count.
void set_gradients(const Tensor& x, const SequenceMask& mask, const Tensor& w, bool transpose_w,
                   bool has_bias, const Tensor& g, Gradients& grads);

}  // namespace maskgrad::ops
