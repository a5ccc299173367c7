#include <maskgrad/ops/cuda/columns.hpp>
#include <maskgrad/ops/cuda/decisions.hpp>
#include <maskgrad/ops/cuda/elements.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/tensor/cuda/warp.hpp>

#include "cuda/own_functors.hpp"
#include "cuda/test_kernels.hpp"

namespace maskgrad::test {
namespace {

__global__ void reverse_kernel(const float* x, float* y, bool has_barrier) {
  MASKGRAD_SHARED(float, shared, [128]);
  shared[threadIdx.x] = x[threadIdx.x];
  if (has_barrier) __syncthreads();
  y[threadIdx.x] = shared[127 - threadIdx.x];
}

__global__ void swap_kernel(const float* x, float* y, bool has_barrier) {
  MASKGRAD_SHARED(float, shared, [32]);
  shared[threadIdx.x] = x[threadIdx.x];
  if (has_barrier) __syncwarp();
  y[threadIdx.x] = shared[threadIdx.x ^ 1];
}

__global__ void sum_kernel(const float* x, float* y) {
  y[threadIdx.x] = cuda::sum_of_lanes(x[threadIdx.x]);
}

__global__ void copy_kernel(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }

__global__ void put_kernel(float* y, const std::int32_t* place, const float* value) {
  y[*place] = *value;
}

template <class Row>
__global__ void column_kernel(std::int64_t lines, std::int64_t along, ops::Around d, const float* x,
                              float* sums, float* squares) {
  const Row row(lines, along);
  const auto at = [&](std::int64_t j) { return x[d.place(row.index, j)]; };
  const float sum = ops::row_sum<float>(row, at);
  const float square =
      ops::row_sum<float>(row, [&](std::int64_t j) { return (at(j) - sum) * (at(j) - sum); });
  if (!row.is_first()) return;
  sums[row.index] = sum;
  squares[row.index] = square;
}

const bool kFilled = ops::fill_decisions<Stripes>() && ops::fill_map_each<Bent, 2>("bent") &&
                     ops::fill_map_each<BentByA, 3>("bent") &&
                     ops::fill_map_each<BentByB, 3>("bent") &&
                     ops::fill_map_each<EachFunction, 1>("each_function");

}  // namespace

void reverse(const float* x, float* y, bool has_barrier) {
  cuda::launch({"reverse", 1, 128}, reverse_kernel, x, y, has_barrier);
}
void swap_neighbours(const float* x, float* y, bool has_barrier) {
  cuda::launch({"swap", 1, 32}, swap_kernel, x, y, has_barrier);
}
void sum_of_warp(const float* x, float* y) { cuda::launch({"sum", 1, 32}, sum_kernel, x, y); }
void sums_of_columns(const float* x, std::int64_t rows, std::int64_t columns, float* sums,
                     float* squares) {
  ops::launch_lines("columns", ops::around(Shape{rows, columns}, 0), column_kernel<ops::ShortRow>,
                    column_kernel<ops::LongRow>, column_kernel<ops::Column>, x, sums, squares);
}
void copy(const float* x, float* y, unsigned threads) {
  cuda::launch({"copy", 1, threads}, copy_kernel, x, y);
}
void put_uploaded(float* y, std::int32_t place, float value) {
  const cuda::Uploaded of_place(place);
  const cuda::Uploaded of_value(value);
  cuda::launch({"put", 1, 1}, put_kernel, y, of_place.data(), of_value.data());
}

}  // namespace maskgrad::test
