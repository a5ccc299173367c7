// Kernels for tests of the device, in test_kernels.cu. Those without their barrier are wrong.
#pragma once

#include <cstddef>
#include <cstdint>

namespace maskgrad::test {

/// y[i] = x[127 - i], through shared memory, in one block of 128.
void reverse(const float* x, float* y, bool has_barrier);
/// y[i] = x[i ^ 1], through shared memory, in one warp.
void swap_neighbours(const float* x, float* y, bool has_barrier);
/// y[i] = the sum of x[0 .. 31], in one warp.
void sum_of_warp(const float* x, float* y);
/// y[i] = x[i], one block of `threads`.
void copy(const float* x, float* y, unsigned threads);
/// y[i] = x[n - 1 - i], through `n` floats of dynamic shared memory, in one block.
void reverse_in_dynamic_shared(const float* x, float* y, std::size_t n);
/// y[place] = value, for two numbers that are uploaded.
void put_uploaded(float* y, std::int32_t place, float value);

}  // namespace maskgrad::test
