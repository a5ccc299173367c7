// What the parts of gpu_bench share.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::bench {

inline constexpr Device kCuda{DeviceType::kCuda, 0};
inline constexpr const char* kName = "gpu_bench";

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Seconds of the device for one call: the median of some.
inline double seconds_on_device(const std::function<void()>& call) {
  constexpr int kRepeats = 20;
  cudaEvent_t events[2 * kRepeats];
  for (cudaEvent_t& event : events) cuda::check_cuda(cudaEventCreate(&event), kName);
  for (int i = 0; i < 3; ++i) call();
  for (int i = 0; i < kRepeats; ++i) {
    cuda::check_cuda(cudaEventRecord(events[2 * i], cuda::stream()), kName);
    call();
    cuda::check_cuda(cudaEventRecord(events[2 * i + 1], cuda::stream()), kName);
  }
  cuda::synchronize();
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) {
    float ms = 0;
    cuda::check_cuda(cudaEventElapsedTime(&ms, events[2 * i], events[2 * i + 1]), kName);
    seconds.push_back(ms * 1e-3);
  }
  for (cudaEvent_t& event : events) cuda::check_cuda(cudaEventDestroy(event), kName);
  return median(seconds);
}

/// Each prints a table, and appends its rows to `json`, if that is a file.
void print_products(std::FILE* json);
void print_attention(std::FILE* json);

}  // namespace maskgrad::bench
