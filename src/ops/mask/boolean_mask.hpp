// Compress by a mask, compute on what is left, put it back. Caffe2's BooleanMask family
// (caffe2/operators/boolean_mask_ops.cc, boolean_unmask_ops.cc), with gradients throughout.
//
// Rows are what lies along the first dimension; they are moved as they are, in every dtype.
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

/// data [N, ...], mask bool [N] -> output [K, ...], indices [K]; ddata is the rows of g where they
/// were, 0 elsewhere. A sequence mask of the data keeps the same rows.
/// Throws Error when the mask is not one-dimensional, data is a scalar, or the sizes differ.
KeptRows boolean_mask(const Variable& data, const Tensor& mask);

/// How many kept places each of several segments has, one after another in `mask`.
/// lengths int32 or int64 [B], mask bool [sum of lengths] -> [B], dtype of lengths.
/// Throws Error for a negative length, or lengths that do not add up to the mask's size.
Tensor boolean_mask_lengths(const Tensor& lengths, const Tensor& mask);

/// Place n takes the next value of the first mask that is true there: masks bool [N] each,
/// values_i [K_i, ...] with K_i the places where mask i is the first true one -> [N, ...].
/// Each values_i gets the rows of g that it placed.
/// Throws Error when there are no masks, when there are not as many values as masks, when sizes,
/// dtypes or row shapes differ, when no mask is true at a place, and when values_i has not K_i rows.
Variable boolean_unmask(std::span<const Tensor> masks, std::span<const Variable> values);

/// The inverse of boolean_mask, with `fill` in the rows it dropped: values [K, ...], mask bool [N]
/// with K trues -> [N, ...]; dvalues is the kept rows of g. A sequence mask of the values is put
/// back too: nothing exists in the filled rows. Throws Error when the mask has not K trues, and when
/// `fill` does not fit the dtype (see Scalar).
Variable unmask_fill(const Variable& values, const Tensor& mask, Scalar fill = 0.0);

/// How many trues each row has: mask bool [N, M] -> int64 [N]. Throws Error for another rank.
Tensor true_counts(const Tensor& mask);

/// f of the kept rows of x, put back where they were, and `fill` elsewhere: for a function that
/// treats each row by itself the same as computing it under the mask, at the cost of what is kept.
/// x [N, ...], mask bool [N], f: [K, ...] -> [K, ...] -> [N, ...]. Throws Error for no function,
/// and as boolean_mask() and unmask_fill().
Variable compute_on_kept(const Variable& x, const Tensor& mask,
                         const std::function<Variable(const Variable&)>& f, Scalar fill = 0.0);

}  // namespace maskgrad::ops
