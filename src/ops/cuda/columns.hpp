// The threads that share a line along an axis that is not the last: a column. The order of its sums
// is that of a row. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/row_threads.hpp>
#include <maskgrad/ops/shape/around.hpp>

namespace maskgrad::ops {

namespace detail {

inline constexpr unsigned kColumnsOfTile = 32;
// So many keep a device busy with sixteen threads for each.
inline constexpr std::int64_t kManyColumns = 4096;

}  // namespace detail

/// Sixteen threads for a column of any length, blockDim (32, 16): threads beside each other in
/// threadIdx.x have columns beside each other, whose elements are neighbours in memory. Used in
/// place of a RowThreads.
struct Column {
  std::int64_t index;
  std::int64_t length;

  __device__ Column(std::int64_t columns, std::int64_t n)
      : index(std::int64_t{blockIdx.x} * detail::kColumnsOfTile + threadIdx.x),
        length(index < columns ? n : 0),
        exists_(index < columns) {}

  __device__ bool exists() const { return exists_; }
  __device__ bool is_first() const { return exists_ && threadIdx.y == 0; }

  template <class F>
  __device__ void for_each(F f) const {
    for (std::int64_t j = threadIdx.y; j < length; j += detail::kLanesOfRow) f(j);
  }

 private:
  bool exists_;
};

namespace detail {

template <class T>
struct OfColumns {
  T lanes[kLanesOfRow][kColumnsOfTile];
};
template <class T>
__device__ OfColumns<T>& of_columns() {
  MASKGRAD_SHARED(OfColumns<T>, memory, [1]);
  return memory[0];
}

// The elements of this thread's lane, in blocks.
template <class T, class Step, class Combine>
__device__ T lane_of_column(const Column& column, T start, Step step, Combine combine) {
  IndexTree<T> blocks;
  for (std::int64_t begin = 0; begin < column.length; begin += kTermsOfBlock) {
    const std::int64_t left = column.length - begin,
                       end = begin + (left < kTermsOfBlock ? left : kTermsOfBlock);
    T lane = start;
    for (std::int64_t j = begin + threadIdx.y; j < end; j += kLanesOfRow) lane = step(lane, j);
    blocks.add(lane, combine);
  }
  return blocks.total(start, combine);
}

}  // namespace detail

/// As for a row.
template <class T, class Step, class Combine>
__device__ T reduce_row(const Column& column, T start, Step step, Combine combine) {
  auto& shared = detail::of_columns<T>();
  T* const own = &shared.lanes[threadIdx.y][threadIdx.x];
  *own = detail::lane_of_column(column, start, step, combine);
  for (unsigned by = detail::kLanesOfRow / 2; by > 0; by /= 2) {
    __syncthreads();
    if (threadIdx.y < by) *own = combine(*own, own[by * detail::kColumnsOfTile]);
  }
  __syncthreads();
  const T total = shared.lanes[0][threadIdx.x];
  __syncthreads();
  return total;
}

/// Starts kernel(lines, along, d, arguments...) with the threads that suit the lines of `d`: a
/// kernel for each of ShortRow, LongRow and Column.
template <class... P, class... A>
void launch_lines(const char* name, const Around& d, void (*of_short)(P...), void (*of_long)(P...),
                  void (*of_column)(P...), A... arguments) {
  const bool is_short = d.along <= kTermsOfBlock;
  if (d.inner > 1 && (is_short || d.lines() >= detail::kManyColumns)) {
    const dim3 block(detail::kColumnsOfTile, detail::kLanesOfRow);
    cuda::launch({name, cuda::blocks_for(d.lines(), detail::kColumnsOfTile), block}, of_column,
                 d.lines(), d.along, d, arguments...);
  } else {
    launch_rows(name, RowsOf(d.lines(), d.along), of_short, of_long, d, arguments...);
  }
}

}  // namespace maskgrad::ops
