// Tensor cores, by the instruction that multiplies matrices of TF32 numbers. For `.cu` files.
// Internal to src/ops.
#pragma once

#include <bit>
#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops::cuda_gemm {

__device__ inline float as_float(std::uint32_t bits) { return std::bit_cast<float>(bits); }

/// The bits of x with 10 bits of mantissa, rounded to nearest, ties away from zero, as cvt.rna
/// does. What is finite stays so: the largest numbers are rounded down. NaN stays NaN.
__device__ inline std::uint32_t to_tf32(float x) {
  constexpr std::uint32_t kDropped = 0x1fff, kHalf = 0x1000;
  constexpr std::uint32_t kInfinity = 0x7f800000, kOverflows = kInfinity - kHalf, kQuiet = 0x400000;
  const auto bits = std::bit_cast<std::uint32_t>(x), size = bits & 0x7fffffff;
  const std::uint32_t rounded = size < kOverflows  ? bits + kHalf
                                : size > kInfinity ? bits | kQuiet
                                                   : bits;
  return rounded & ~kDropped;
}

/// d += a b for a matrix a [16, 8] and b [8, 8] of TF32 numbers, of which each lane of a warp has
/// some. Lane 4 g + t has
///   a  (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
///   b  (t, g), (t + 4, g)
///   d  (g, 2 t), (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1), float32.
/// Products are exact. How the sum of eight of them and d is rounded is up to the hardware.
/// PTX ISA 9.0, "Matrix Fragments for mma.m16n8k8". Needs compute capability 8.0.
__device__ inline void multiply_fragments(float (&d)[4], const std::uint32_t (&a)[4],
                                          const std::uint32_t (&b)[2]) {
#if !defined(__CUDACC__)
  emulation::mma_m16n8k8_tf32(d, a, b, MASKGRAD_PLACE);
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();  // check_tensor_cores() throws before a kernel comes here
#endif
}

}  // namespace maskgrad::ops::cuda_gemm
