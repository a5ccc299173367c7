// What becomes of gradients when somebody writes to values between the passes. Internal to
// src/tensor/check.
#pragma once

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/check/complaints.hpp>

namespace maskgrad::check_detail {

/// Overwrites each input and each output of an operation after the forward pass, and adds a line
/// where the gradients are neither those of the old values nor refused.
void check_overwriting(const OpDef& op, const OpSample& sample, Complaints& complaints);

}  // namespace maskgrad::check_detail
