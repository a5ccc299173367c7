// From products of queries and keys to scores, on a device. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/tile.hpp>
#include <maskgrad/ops/functors/fast_tanh.hpp>
#include <maskgrad/ops/functors/product.hpp>
#include <maskgrad/tensor/philox.hpp>

namespace maskgrad::ops::attention {

/// A pair of a query and a key.
struct Pair {
  std::int64_t sample, head;
  int query, key;
};

template <class T>
struct Scores {
  T softcap;
  const T* bias;  // null where there is none
  std::int64_t bias_stride[4];
  double dropout;
  T factor;  // of a weight that is not dropped
  std::int64_t heads, queries, keys;
  const philox::UniformNumbers* numbers;  // of the dropout
  bool caps;

  /// Whether a score is just the product of a query and a key, and no weight is dropped.
  __device__ bool are_plain() const { return !caps && !bias && dropout == 0; }

  /// The capped score with its bias. `slope`: the derivative of the cap.
  __device__ T operator()(T product, const Pair& at, T& slope) const {
    T score = product;
    slope = 1;
    if (caps) {
      const T tanh = math::fast_tanh(product / softcap);
      slope = math::multiply_add(-tanh, tanh, T{1});
      score = math::product(softcap, tanh);
    }
    return bias ? score + bias[place_of_bias(at)] : score;
  }
  __device__ std::int64_t place_of_bias(const Pair& at) const {
    return at.sample * bias_stride[0] + at.head * bias_stride[1] + at.query * bias_stride[2] +
           at.key * bias_stride[3];
  }

  /// What the dropout multiplies a weight with.
  __device__ T drop(const Pair& at) const {
    const std::int64_t row = (at.sample * heads + at.head) * queries + at.query;
    return (*numbers)(static_cast<std::uint64_t>(row * keys + at.key)) >= dropout ? factor : T{0};
  }
};

}  // namespace maskgrad::ops::attention
