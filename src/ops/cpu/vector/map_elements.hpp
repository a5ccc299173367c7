// Elementwise work on tensors, by functors (functors/rules.hpp). Internal to src/ops.
#pragma once

#include <algorithm>
#include <cstdint>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// f(x_0, x_1, ...) element by element into a new tensor; all of x's shape and dtype. f takes and
/// gives vectors. The parts of the threads begin where cache lines do.
template <class F, class... Rest>
Tensor map_elements(const char* name, F f, const Tensor& x, const Rest&... rest) {
  constexpr std::int64_t kLineBytes = 64, kLeastOfPart = 16384;
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch_device(x.device(), name, [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), name, [&]<class T>(T) {
      constexpr std::int64_t kLine = kLineBytes / sizeof(T);
      const std::int64_t lines = (y.numel() + kLine - 1) / kLine;
      parallel_for(lines, kLeastOfPart / kLine, [&](std::int64_t line, std::int64_t end) {
        const std::int64_t first = line * kLine, last = std::min(end * kLine, y.numel());
        map_vectors(last - first, y.data<T>() + first, f, x.data<T>() + first,
                    (rest.template data<T>() + first)...);
      });
    });
  });
  return y;
}

}  // namespace maskgrad::ops
