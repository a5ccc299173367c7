// What kernels read and write of an update that no host waits for. For `.cu` files.
#pragma once

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/train/optim/late_update.hpp>

namespace maskgrad::cuda {

/// The words of LateUpdate::finite.
struct FiniteWords {
  int* words;

  explicit FiniteWords(Tensor& finite) : words(finite.device_data<int>()) {}

  /// Whether an update may change anything. Not for a kernel that calls find_input().
  __device__ bool may_update() const { return words[0] != 0; }
  /// Whether the update found and made finite numbers. Not for a kernel that calls find_result().
  __device__ bool was_result_finite() const { return words[1] != 0; }
  /// All threads of the block call one of these, each with whether what it saw is finite.
  __device__ void find_input(bool finite) const { find(words, finite); }
  __device__ void find_result(bool finite) const { find(words + 1, finite); }

 private:
  // An atomic operation on an integer: the result is that of any order.
  __device__ static void find(int* word, bool finite) {
    const bool all = __syncthreads_and(finite) != 0;
    if (threadIdx.x == 0 && !all) atomicAnd(word, 0);
  }
};

/// A null pointer where there is no LateUpdate::scale.
inline const double* scale_of(const LateUpdate& late) {
  return late.scale.defined() ? late.scale.device_data<double>() : nullptr;
}

}  // namespace maskgrad::cuda
