// How far a run has come, as the metadata of a checkpoint say it.
#pragma once

#include <string>

#include <maskgrad/train/formats/safetensors.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// "step", "epoch", "batch", "skipped", "optimizer_steps" as whole numbers, and "totals" as JSON:
/// [["loss",1.5,8],["accuracy",3,8]], name, sum and count of each metric. A sum that is not finite
/// stands there as a string: "nan", "inf", "-inf".
Metadata metadata_of(const TrainState& state);

/// The inverse. Throws Error "[checkpoint] '<file>' ..." for numbers or totals that are none, and
/// as check_state.
TrainState train_state_of(const Metadata& metadata, const std::string& file);

/// Throws Error "[checkpoint] '<file>' contradicts itself: ..." for a state that no run can have:
/// numbers below 0, more batches or epochs than steps, more steps skipped than made, counts of
/// 2^62 and more.
void check_state(const TrainState& state, const std::string& file);

}  // namespace maskgrad
