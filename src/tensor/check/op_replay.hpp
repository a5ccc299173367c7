// Does a recorded call, run again with other numbers, give what the operation gives? Internal to
// src/tensor/check.
#pragma once

#include <maskgrad/tensor/check/complaints.hpp>
#include <maskgrad/tensor/check/op_check.hpp>

namespace maskgrad::check_detail {

void check_replay(const OpDef& op, const OpSample& sample, Complaints& complaints);

}  // namespace maskgrad::check_detail
