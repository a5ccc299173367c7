// The description of operations on two inputs that broadcast. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/op_def.hpp>

namespace maskgrad::ops {

/// Registers function(a, b). Samples are uniform in -2 .. 2, those of b from `low` on.
const OpDef& register_binary(const char* name, const char* summary,
                             Variable (*function)(const Variable&, const Variable&),
                             double low = -2.0);

}  // namespace maskgrad::ops
