// Poison for operations, to see what they depend on. Internal to src/tensor/check.
#pragma once

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/check/complaints.hpp>

namespace maskgrad::check_detail {

/// Adds a line for each thing that changes although the description says that it does not depend on
/// what was changed:
///   with a place of an input: places of outputs, and of gradients where 0 arrives at all places of
///   the output that do depend on it;
///   with a place of the gradient that arrives at an output: places of gradients;
///   with what stands in the holes of inputs that carry a mask, and of that gradient, where the
///   operation takes a mask.
void check_dependence(const OpDef& op, const OpSample& sample, DType dtype, Complaints& complaints);

}  // namespace maskgrad::check_detail
