// Kernels that are wrong on purpose, for tests of the emulated device; in wrong_kernels.cu.
#pragma once

namespace maskgrad::test {

/// All of four blocks write y[0].
void write_one_place(float* y);
/// All threads of a block copy y[0] to places of their own, and one writes it.
void read_what_one_writes(float* y);
/// The two halves of a block wait at barriers of their own.
void wait_at_two_places(float* y);
/// Half of a warp leaves the kernel, and the others ask for its values.
void shuffle_with_absent_lanes(float* y);
/// y[i] = shared memory that nobody wrote, in one warp.
void read_unwritten(float* y);
/// Asks for 60 KB of shared memory.
void take_too_much(float* y);

}  // namespace maskgrad::test
