// Does an operation do what its description says? For whoever adds one.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/op_def.hpp>

namespace maskgrad {

/// Runs an operation on its own samples and returns what is wrong with it, a line each:
///   gradients that differ from central differences (float64);
///   places of the output that change with an input place that they say they do not depend on;
///   results or gradients that change, by a single bit, with what stands at places that nothing
///   depends on (float32 and float64, each of mask_poisons()), or with a gradient that arrives at
///   places that depend on nothing; gradients sent back to such places other than exactly 0.
/// Empty when everything holds.
std::vector<std::string> check_op(const OpDef& op);

/// The inputs of a sample, floating ones in `dtype`, as leaves where a gradient can go.
OpCall call_of(const OpDef& op, const OpSample& sample, DType dtype = DType::kFloat64);

}  // namespace maskgrad
