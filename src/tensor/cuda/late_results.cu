#include <maskgrad/tensor/cuda/late_results.hpp>
#include <maskgrad/tensor/cuda/scalars.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad {
namespace {

// A thread for each number. `row` is uploaded: it is another one in each step.
__global__ void late_results_kernel(cuda::Scalars numbers, std::int64_t first,
                                    const std::int64_t* row, double* rows) {
  constexpr auto kOfRow = static_cast<std::int64_t>(LateResults::kMostNumbers);
  rows[*row * kOfRow + first + threadIdx.x] = numbers[threadIdx.x];
}

void send(std::span<const Tensor> numbers, double* rows, std::int64_t row) {
  if (numbers.empty()) return;
  const cuda::Uploaded uploaded(row);
  std::int64_t first = 0;
  cuda::for_each_chunk(numbers, [&](const cuda::Scalars& some) {
    cuda::launch({"late_results", 1, some.count}, late_results_kernel, some, first, uploaded.data(),
                 rows);
    first += some.count;
  });
}

const bool kFilled = kLateResultsCuda.fill(send);

}  // namespace
}  // namespace maskgrad
