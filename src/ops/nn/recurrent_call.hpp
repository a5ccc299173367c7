// What operations of recurrent networks share. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cpu/recurrent/scan.hpp>
#include <maskgrad/ops/nn/recurrent.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {

/// The inputs of a recurrent operation. `bias` is added to h w; nullptr: the cell has none.
struct RecurrentInputs {
  const Variable &gates, &w;
  const Variable* bias;
  std::array<const Variable*, 2> start;  // nullptr: the cell has no such state

  bool has_start() const { return start[0]->defined(); }
};

/// Throws Error unless all fits a cell of `gates` gates.
void check_recurrent(const OpDef& op, std::int64_t gates, const RecurrentInputs& inputs,
                     const RecurrentOptions& options);
Ref<ScanPlan> plan_of(const RecurrentInputs& inputs, const RecurrentOptions& options);

/// Marks that lead through the plan, see with_reach(): of the gates, of the parameters, of states.
enum class RecurrentInput { kGates, kParameter, kState };
Tensor recurrent_reached(const ScanPlan& plan, RecurrentInput input, const Tensor& marked,
                         const Way& way);

/// Those of the call of a description, whose inputs are named "segments", "reverse" and
/// "sequences".
RecurrentOptions options_of(const OpCall& call);

}  // namespace maskgrad::ops
