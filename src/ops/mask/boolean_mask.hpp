// Compress by a mask, compute on what is left, put it back. Caffe2's BooleanMask family
// (caffe2/operators/boolean_mask_ops.cc, boolean_unmask_ops.cc), with gradients throughout.
//
// A row is one entry along the first dimension. Rows of every dtype are copied as they are.
#pragma once

#include <functional>
#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// The kept rows in order, and where they were.
struct KeptRows {
  Variable output;
  Tensor indices;  // int64 [K]
};

/// Takes the rows of `data` where the mask is true. data [N, ...], mask bool [N] ->
/// output [K, ...], indices [K]. ddata holds the rows of g where the kept rows were, and 0
/// elsewhere. A sequence mask of the data keeps the same rows.
/// Throws Error when the mask is not bool [N], when data is a scalar, or when the sizes differ.
KeptRows boolean_mask(const Variable& data, const Tensor& mask);

/// Counts the kept places of each segment. The segments stand one after another in `mask`.
/// lengths int32 or int64 [B], mask bool [sum of lengths] -> [B], dtype of lengths.
/// Throws Error for a negative length, or lengths that do not add up to the mask's size.
Tensor boolean_mask_lengths(const Tensor& lengths, const Tensor& mask);

/// Puts the rows of several values into one. Each place takes the next row of values_i, where mask
/// i is the first mask that is true there. masks bool [N] each, values_i [K_i, ...] -> [N, ...];
/// K_i is the number of places where mask i is the first true one. Each values_i gets the rows of g
/// at its places.
/// Throws Error when there are no masks, when there are not as many values as masks, when sizes,
/// dtypes or row shapes differ, when no mask is true at a place, when values_i does not have K_i
/// rows, and when a value carries a mask.
Variable boolean_unmask(std::span<const Tensor> masks, std::span<const Variable> values);

/// The inverse of boolean_mask, with `fill` in the rows it dropped: values [K, ...], mask bool [N]
/// with K trues -> [N, ...]; dvalues is the kept rows of g. A sequence mask of the values is put
/// back too: nothing exists in the filled rows. Throws Error when the mask is not bool [N], when it
/// does not have K trues, and when `fill` does not fit the dtype (see Scalar).
Variable unmask_fill(const Variable& values, const Tensor& mask, Scalar fill = 0.0);

/// Counts the trues of each row: mask bool [N, M] -> int64 [N]. Throws Error for any other mask.
Tensor true_counts(const Tensor& mask);

/// Computes f on the kept rows of x, puts the results back where the rows were, and writes `fill`
/// elsewhere. If f treats each row by itself, the kept rows of the result are those of f(x), and f
/// does no work for the others.
/// x [N, ...], mask bool [N] -> [N, ...]; f takes the K kept rows and gives K rows. Throws Error
/// for no function, and as boolean_mask() and unmask_fill().
Variable compute_on_kept(const Variable& x, const Tensor& mask,
                         const std::function<Variable(const Variable&)>& f, Scalar fill = 0.0);

}  // namespace maskgrad::ops
