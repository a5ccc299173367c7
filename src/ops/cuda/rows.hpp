// Rows that are taken from a tensor by a list, and rows that are put to the places of one. For
// `.cu` files. Internal to src/ops.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {

/// Some rows of as many elements each.
struct RowsOfList {
  const std::int64_t* list;  // on the device: which row goes with row i of the other tensor
  std::int64_t count, columns;

  /// Calls f(i, j) for the elements j of this thread, in row i of the other tensor.
  template <class F>
  __device__ void for_each(F f) const {
    const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
    if (row >= count) return;
    const std::int64_t first = std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x,
                       step = std::int64_t{gridDim.y} * blockDim.x;
    for (std::int64_t j = first; j < columns; j += step) f(row, j);
  }
};

/// to[i] = from[list[i]], row by row; 0 where that is below 0.
template <class T>
__global__ void take_rows_kernel(RowsOfList rows, const T* from, T* to) {
  rows.for_each([&](std::int64_t i, std::int64_t j) {
    const std::int64_t row = rows.list[i];
    to[i * rows.columns + j] = row < 0 ? T{} : from[row * rows.columns + j];
  });
}

/// to[list[i]] = from[i], row by row.
template <class T>
__global__ void put_rows_kernel(RowsOfList rows, const T* from, T* to) {
  rows.for_each([&](std::int64_t i, std::int64_t j) {
    to[rows.list[i] * rows.columns + j] = from[i * rows.columns + j];
  });
}

/// Starts one of them. A row has as many lanes as elements, at most a warp, and several warps where
/// it is long.
template <class T>
void launch_rows_of_list(const char* name, void (*kernel)(RowsOfList, const T*, T*),
                         const RowsOfList& rows, const T* from, T* to) {
  if (rows.columns == 0) return;
  constexpr std::int64_t kWarp = 32, kMostTiles = 65535;  // the latter: of a grid's y
  const auto lanes = static_cast<unsigned>(
      std::bit_ceil(static_cast<std::uint64_t>(std::min(kWarp, rows.columns))));
  const dim3 block(lanes, cuda::kThreads / lanes);
  const auto tiles =
      static_cast<unsigned>(std::min(kMostTiles, (rows.columns + lanes - 1) / std::int64_t{lanes}));
  cuda::launch({name, dim3(cuda::blocks_for(rows.count, block.y), tiles), block}, kernel, rows,
               from, to);
}

}  // namespace maskgrad::ops
