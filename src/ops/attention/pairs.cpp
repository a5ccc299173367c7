#include <maskgrad/ops/attention/pairs.hpp>
#include <maskgrad/ops/row_kernels.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

struct Sizes {
  std::int64_t batch, heads, key_heads, queries, keys, features;

  std::int64_t group() const { return heads / key_heads; }
};

// Calls f(T{}, b, h, s) for every row, parts of the rows side by side.
template <class F>
void for_each_query(const Sizes& d, DType dtype, F f) {
  dispatch_dtype(FloatingTypes{}, dtype, "attention", [&]<class T>(T) {
    parallel_for(d.batch * d.heads * d.queries, least_for(d.keys * d.features),
                 [&](std::int64_t row, std::int64_t end) {
                   for (; row < end; ++row) {
                     const std::int64_t head = row / d.queries;
                     f(T{}, head / d.heads, head % d.heads, row % d.queries);
                   }
                 });
  });
}

// y += a x
template <class T>
void add_scaled(T a, const T* x, T* y, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) y[j] += a * x[j];
}

}  // namespace

Tensor pair_products(const Tensor& rows, const Tensor& keys, const AttentionMask& mask) {
  const Sizes d{rows.dim(0), rows.dim(1), keys.dim(1), rows.dim(2), keys.dim(2), rows.dim(3)};
  Tensor pairs = Tensor::zeros({d.batch, d.heads, d.queries, d.keys}, rows.dtype(), rows.device());
  dispatch_device(rows.device(), "attention", [&] {
    for_each_query(
        d, rows.dtype(), [&]<class T>(T, std::int64_t b, std::int64_t h, std::int64_t s) {
          const std::int64_t row = (b * d.heads + h) * d.queries + s;
          const T* q = rows.data<T>() + row * d.features;
          const T* k = keys.data<T>() + (b * d.key_heads + h / d.group()) * d.keys * d.features;
          T* out = pairs.data<T>() + row * d.keys;
          mask.for_each_run(b, h, s, [&](std::int64_t t, std::int64_t end) {
            for (; t < end; ++t) out[t] = row_dot(q, k + t * d.features, d.features);
          });
        });
  });
  return pairs;
}

Tensor sum_over_keys(const Tensor& pairs, const Tensor& keys, const AttentionMask& mask) {
  const Sizes d{pairs.dim(0), pairs.dim(1), keys.dim(1), pairs.dim(2), pairs.dim(3), keys.dim(3)};
  Tensor sums =
      Tensor::zeros({d.batch, d.heads, d.queries, d.features}, keys.dtype(), keys.device());
  dispatch_device(keys.device(), "attention", [&] {
    for_each_query(
        d, keys.dtype(), [&]<class T>(T, std::int64_t b, std::int64_t h, std::int64_t s) {
          const std::int64_t row = (b * d.heads + h) * d.queries + s;
          const T* weight = pairs.data<T>() + row * d.keys;
          const T* k = keys.data<T>() + (b * d.key_heads + h / d.group()) * d.keys * d.features;
          T* out = sums.data<T>() + row * d.features;
          mask.for_each_run(b, h, s, [&](std::int64_t t, std::int64_t end) {
            for (; t < end; ++t) add_scaled(weight[t], k + t * d.features, out, d.features);
          });
        });
  });
  return sums;
}

Tensor sum_over_rows(const Tensor& pairs, const Tensor& rows, const AttentionMask& mask,
                     std::int64_t key_heads) {
  const Sizes d{pairs.dim(0), pairs.dim(1), key_heads, pairs.dim(2), pairs.dim(3), rows.dim(3)};
  Tensor sums =
      Tensor::zeros({d.batch, key_heads, d.keys, d.features}, rows.dtype(), rows.device());
  const auto add_row = [&]<class T>(T, std::int64_t b, std::int64_t h, std::int64_t s) {
    const std::int64_t row = (b * d.heads + h) * d.queries + s;
    const T* weight = pairs.data<T>() + row * d.keys;
    const T* q = rows.data<T>() + row * d.features;
    T* out = sums.data<T>() + (b * d.key_heads + h / d.group()) * d.keys * d.features;
    mask.for_each_run(b, h, s, [&](std::int64_t t, std::int64_t end) {
      for (; t < end; ++t) add_scaled(weight[t], q, out + t * d.features, d.features);
    });
  };
  dispatch_device(rows.device(), "attention", [&] {
    dispatch_dtype(FloatingTypes{}, rows.dtype(), "attention", [&]<class T>(T) {
      // One task for each head of keys: its rows are added in their order.
      parallel_for(d.batch * key_heads, 1, [&](std::int64_t head, std::int64_t end) {
        for (; head < end; ++head) {
          const std::int64_t b = head / key_heads, first = head % key_heads * d.group();
          for (std::int64_t h = first; h < first + d.group(); ++h) {
            for (std::int64_t s = 0; s < d.queries; ++s) add_row(T{}, b, h, s);
          }
        }
      });
    });
  });
  return sums;
}

}  // namespace maskgrad::ops
