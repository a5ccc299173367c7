// What the environment asks of the CUDA device.
#pragma once

namespace maskgrad::cuda {

/// Whether each kernel is waited for, so that an error names the one that went wrong:
/// MASKGRAD_CUDA_SYNC=1. Then steps are eager.
bool waits_for_each_launch();

/// Whether memory that was given back is handed out again: not with MASKGRAD_CUDA_POOL=0. Then
/// steps are eager, too, as a graph must not outlive its memory.
bool pools_memory();

/// Throws Error "[device] MASKGRAD_CUDA_SYNC must be 0 or 1, not 'yes'", and the like for
/// MASKGRAD_CUDA_POOL. Each is read once.
void check_environment();

}  // namespace maskgrad::cuda
