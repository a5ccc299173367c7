#include <maskgrad/tensor/cuda/warp.hpp>

#include "cuda/emulated/wrong_kernels.hpp"

namespace maskgrad::test {
namespace {

__global__ void one_place_kernel(float* y) {
  if (threadIdx.x == 0) *y = static_cast<float>(blockIdx.x);
}

__global__ void read_and_write_kernel(float* y) {
  y[threadIdx.x + 1] = *y;
  if (threadIdx.x == 3) *y = 5;
}

__global__ void two_places_kernel(float* y) {
  if (threadIdx.x < 16) {
    __syncthreads();
    y[threadIdx.x] = 1;
  } else {
    __syncthreads();
    y[threadIdx.x] = 2;
  }
}

__global__ void absent_lanes_kernel(float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = cuda::sum_of_lanes(1.0f);
}

__global__ void unwritten_kernel(float* y) {
  MASKGRAD_SHARED(float, shared, [32]);
  y[threadIdx.x] = shared[threadIdx.x];
}

__global__ void too_much_kernel(float* y) {
  MASKGRAD_SHARED(float, first, [7500]);
  MASKGRAD_SHARED(float, second, [7500]);
  first[0] = second[0] = 1;
  *y = first[0] + second[0];
}

}  // namespace

void write_one_place(float* y) { cuda::launch({"one_place", 4, 32}, one_place_kernel, y); }
void read_what_one_writes(float* y) {
  cuda::launch({"read_and_write", 1, 64}, read_and_write_kernel, y);
}
void wait_at_two_places(float* y) { cuda::launch({"two_places", 1, 32}, two_places_kernel, y); }
void shuffle_with_absent_lanes(float* y) {
  cuda::launch({"absent_lanes", 1, 32}, absent_lanes_kernel, y);
}
void read_unwritten(float* y) { cuda::launch({"unwritten", 1, 32}, unwritten_kernel, y); }
void take_too_much(float* y) { cuda::launch({"too_much", 1, 1}, too_much_kernel, y); }

}  // namespace maskgrad::test
