// The description of operations on two inputs that broadcast. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad::ops {

/// Registers function(a, b), whose gradients read what is said. Samples are uniform in -2 .. 2,
/// those of b from `low` on.
const OpDef& register_binary(const char* name, const char* summary,
                             Variable (*function)(const Variable&, const Variable&),
                             const Reads& gradient_of_a, const Reads& gradient_of_b,
                             double low = -2.0);

}  // namespace maskgrad::ops
