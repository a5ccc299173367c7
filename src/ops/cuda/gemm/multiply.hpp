// Products of matrices on a device. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/products.hpp>

namespace maskgrad::ops::cuda_gemm {

/// The kernels that products can take.
enum class Kernel : std::uint8_t {
  kOneRow,  // narrow_kernel(), with as many rows
  kFourRows,
  kEightRows,
  kMiddle,  // tile_kernel(), with a middle tile
  kLarge
};

/// How products are computed. It changes no bit.
struct Plan {
  Kernel kernel;
  std::int64_t groups_of_piece;  // a power of two
};

/// Chosen from shapes. T is float or double.
template <class T>
Plan plan_of(const Products<T>& products);

/// As the plan says, which is for these products or others.
template <class T>
void multiply(const Products<T>& products, const Plan& plan);

/// Chooses a plan. Where y has few columns, its transpose is computed.
template <class T>
void multiply(const Products<T>& products);

/// Products::sums alone, of a left factor whose row of ones is its only one.
template <class T>
void sum_rows(Products<T> products) {
  products.left.rows = 0;
  multiply(products);
}

}  // namespace maskgrad::ops::cuda_gemm
