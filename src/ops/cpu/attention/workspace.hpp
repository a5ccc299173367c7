// What the tiles of attention compute in. Internal to attention.
#pragma once

#include <utility>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// Memory for a task, cut up from one block.
template <class T>
class Workspace {
 public:
  explicit Workspace(std::int64_t elements)
      : block_(Tensor::empty({elements}, dtype_of<T>)), next_(block_.template data<T>()) {}

  T* take(std::int64_t elements) { return std::exchange(next_, next_ + elements); }

 private:
  Tensor block_;
  T* next_;
};

/// least_for() of things for which a part takes a Workspace: twice the usual. Each takes `work`
/// times `times` units.
constexpr std::int64_t least_of_attention(std::int64_t work, std::int64_t times) {
  std::int64_t work_each = 0;
  return __builtin_mul_overflow(work, times, &work_each) ? 1 : least_for(work_each / 2);
}

}  // namespace maskgrad::ops
