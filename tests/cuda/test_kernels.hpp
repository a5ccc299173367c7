// Kernels for tests of the device, in test_kernels.cu. Those without their barrier are wrong.
#pragma once

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
/// sums[c] = the sum of column c of x [rows, columns], and squares[c] that of the squares of its
/// distances from this sum: two reductions of the same threads.
void sums_of_columns(const float* x, std::int64_t rows, std::int64_t columns, float* sums,
                     float* squares);
/// y[place] = value, for two numbers that are uploaded.
void put_uploaded(float* y, std::int32_t place, float value);

}  // namespace maskgrad::test
