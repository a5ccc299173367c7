#include <maskgrad/tensor/cuda/late_results.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad {
namespace {

constexpr auto kMost = static_cast<unsigned>(LateResults::kMostNumbers);

struct Numbers {
  const void* at[kMost];
  DType dtype[kMost];
};

__device__ double as_double(const void* at, DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return static_cast<double>(*static_cast<const float*>(at));
    case DType::kFloat64:
      return *static_cast<const double*>(at);
    case DType::kInt32:
      return static_cast<double>(*static_cast<const std::int32_t*>(at));
    case DType::kInt64:
      return static_cast<double>(*static_cast<const std::int64_t*>(at));
    case DType::kBool:
      return *static_cast<const bool*>(at) ? 1 : 0;
  }
  return 0;
}

// A thread for each number. `row` is uploaded: it is another one in each step.
__global__ void late_results_kernel(Numbers numbers, const std::int64_t* row, double* rows) {
  const unsigned i = threadIdx.x;
  rows[*row * kMost + i] = as_double(numbers.at[i], numbers.dtype[i]);
}

void send(std::span<const Tensor> numbers, double* rows, std::int64_t row) {
  if (numbers.empty()) return;
  Numbers given{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    given.dtype[i] = numbers[i].dtype();
    dispatch_dtype(AllTypes{}, given.dtype[i], "late_results",
                   [&]<class T>(T) { given.at[i] = numbers[i].device_data<T>(); });
  }
  const cuda::Uploaded<std::int64_t> uploaded(row);
  cuda::launch({"late_results", 1, static_cast<unsigned>(numbers.size())}, late_results_kernel,
               given, uploaded.data(), rows);
}

const bool kFilled = kLateResultsCuda.fill(send);

}  // namespace
}  // namespace maskgrad
