// What the tiles of attention compute in. Internal to attention.
#pragma once

#include <utility>

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

}  // namespace maskgrad::ops
