// Does an operation do what its description says? For whoever adds one.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad {

/// Runs an operation on its own samples and returns what is wrong with it, a line for each kind of
/// fault and value, with the first place that shows it:
///   gradients that differ from central differences (float64);
///   inputs that take a gradient and are not recorded;
///   places of outputs that change, by a single bit, with a place of an input that they say they do
///   not depend on;
///   places of gradients that change with a place of a value that they say they do not read, where
///   0 arrives at every place of the output that depends on it; or with a place of the gradient
///   that arrives; or that are not 0 then;
///   either of them when an input carries a mask, and poison stands in its holes;
///   a recorded call that, run again with other numbers and with copies of its integers and masks,
///   gives something else than the operation: record() was not told of all inputs and arguments;
///   gradients that change when a value is written to after the forward pass, and are not refused;
///   errors that it throws.
/// Poison is mask_poisons(), in float32 and float64. All outputs are looked at. Empty when
/// everything holds.
std::vector<std::string> check_op(const OpDef& op);

/// The inputs of a sample, floating ones in `dtype`, as leaves where a gradient can go.
OpCall call_of(const OpDef& op, const OpSample& sample, DType dtype = DType::kFloat64);

}  // namespace maskgrad
