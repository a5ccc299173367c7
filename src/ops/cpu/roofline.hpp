// Internal to the library and its benchmarks: work that only the processor bounds, compiled as
// kernels are. The time of a kernel is set beside it.
#pragma once

#include <cstdint>
#include <span>

namespace maskgrad::ops {

/// Runs multiply-adds of float32 that wait for nothing, `rounds` times as many as stay in
/// registers. Returns how many it ran.
std::int64_t run_multiply_adds(std::int64_t rounds);

/// Reads an array once, four registers at a time, less what is left behind the last four. Requires
/// memory aligned to 64 bytes. Returns the sum of what it read.
float read_all(std::span<const float> x);

/// y[i] += 0.5 x[i]: reads two arrays and writes one.
void stream(std::span<const float> x, std::span<float> y);

}  // namespace maskgrad::ops
