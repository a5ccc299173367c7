// Inputs that several operations have, and what they check of them. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/op_def.hpp>

namespace maskgrad::ops {

/// A bool input that says which places of the others count.
InputSpec mask_input(Reach reach, const char* name = "mask");
/// int32 or int64, of which no gradient is taken: lengths, centers.
InputSpec integer_input(const char* name);
InputSpec optional(InputSpec input);

/// Throws Error "[name] a mask of int32 (3,) does not fit an input of (2, 3)" unless `keep` is bool
/// and broadcasts to `shape`.
void check_mask_fits(const char* name, const Tensor& keep, const Shape& shape);
/// `keep` for each element of x, as a tensor of its own. What the mask of x leaves out is not kept
/// either. Throws Error as check_mask_fits.
Tensor kept_elements(const char* name, const Variable& x, const Tensor& keep);

}  // namespace maskgrad::ops
