// Does an operation do what its description says? For whoever adds one.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad {

/// Runs an operation on its own samples and returns its faults, a line for each kind of fault and
/// value, with the first place that shows it. Empty when there is no fault. It finds:
///   gradients that differ from central differences (float64);
///   inputs that take a gradient and are not recorded;
///   no mask rule, where an input takes a gradient;
///   places of outputs that change, by one bit or more, with a place of an input on which they do
///   not depend by the description;
///   places of gradients that change with a place of a value which they do not read by the
///   description, where 0 arrives at every place of the output that depends on it; that change with
///   a place of the arriving gradient on which they do not depend; or that are not 0 then;
///   either of them when an input carries a mask and its holes hold poison;
///   a recorded call that, run again with other numbers and with copies of its integers and masks,
///   gives something else than the operation: record() was not told of all inputs and arguments;
///   gradients that change when a value is written to after the forward pass, and are not refused;
///   errors that it throws.
/// Poison is mask_poisons(), in float32 and float64. All outputs are looked at.
std::vector<std::string> check_op(const OpDef& op);

/// The call of a sample. Floating inputs have `dtype`. Inputs that can take a gradient are leaves
/// that do.
OpCall call_of(const OpDef& op, const OpSample& sample, DType dtype = DType::kFloat64);

}  // namespace maskgrad
