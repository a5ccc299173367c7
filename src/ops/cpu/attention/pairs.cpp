#include <algorithm>

#include <maskgrad/ops/cpu/attention/pairs.hpp>
#include <maskgrad/ops/cpu/gemm/batch_sum.hpp>
#include <maskgrad/ops/cpu/rows/row_kernels.hpp>
#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
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

// The sum of vectors a_i x_i, i in order: those of a chain one after another, the chains of a group
// too, and groups in a balanced binary tree. What does not come is 0 and changes no bit.
template <class T>
class VectorSum {
 public:
  explicit VectorSum(std::int64_t size)
      : size_(size), groups_(size), chain_(Index(size)), group_(Index(size)) {}

  void add(std::int64_t i, T a, const T* x) { add_part(i, a, x, 0, size_); }
  /// The same for elements [first, first + count) of the sum.
  void add_part(std::int64_t i, T a, const T* x, std::int64_t first, std::int64_t count) {
    if (i / kChain != at_ / kChain) end_chain();
    if (i / kGroup != at_ / kGroup) end_group();
    at_ = i;
    for (std::int64_t j = 0; j < count; ++j) {
      T& sum = chain_[Index(first + j)];
      sum = math::multiply_add(a, x[j], sum);
    }
  }
  void finish(T* sums) {
    end_chain();
    end_group();
    groups_.finish(sums);
  }

 private:
  using Index = std::size_t;
  static constexpr std::int64_t kChain = kTermsOfChain, kGroup = kChainsOfGroup * kChain;

  void end_chain() {
    add_row(chain_.data(), group_.data(), size_);
    std::fill(chain_.begin(), chain_.end(), T{});
  }
  void end_group() {
    copy_row(group_.data(), groups_.row(), size_);
    groups_.add(at_ / kGroup);
    std::fill(group_.begin(), group_.end(), T{});
  }

  const std::int64_t size_;
  PairwiseSum<T> groups_;
  PoolVector<T> chain_, group_;
  std::int64_t at_ = 0;
};

}  // namespace

Tensor pair_products(const Tensor& rows, const Tensor& keys, const AttentionMask& mask) {
  const Sizes d{rows.dim(0), rows.dim(1), keys.dim(1), rows.dim(2), keys.dim(2), rows.dim(3)};
  Tensor pairs = Tensor::zeros({d.batch, d.heads, d.queries, d.keys}, rows.dtype(), rows.device());
  const auto on_cpu = [&] {
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
  };
  dispatch_device(rows.device(), kPairProductsCuda, on_cpu, rows, keys, mask, pairs);
  return pairs;
}

Tensor sum_over_keys(const Tensor& pairs, const Tensor& keys, const AttentionMask& mask) {
  const Sizes d{pairs.dim(0), pairs.dim(1), keys.dim(1), pairs.dim(2), pairs.dim(3), keys.dim(3)};
  Tensor sums =
      Tensor::empty({d.batch, d.heads, d.queries, d.features}, keys.dtype(), keys.device());
  const auto on_cpu = [&] {
    for_each_query(
        d, keys.dtype(), [&]<class T>(T, std::int64_t b, std::int64_t h, std::int64_t s) {
          const std::int64_t row = (b * d.heads + h) * d.queries + s;
          const T* weight = pairs.data<T>() + row * d.keys;
          const T* k = keys.data<T>() + (b * d.key_heads + h / d.group()) * d.keys * d.features;
          VectorSum<T> sum(d.features);
          mask.for_each_run(b, h, s, [&](std::int64_t t, std::int64_t end) {
            for (; t < end; ++t) sum.add(t, weight[t], k + t * d.features);
          });
          sum.finish(sums.data<T>() + row * d.features);
        });
  };
  dispatch_device(keys.device(), kSumOverKeysCuda, on_cpu, pairs, keys, mask, sums);
  return sums;
}

Tensor sum_over_rows(const Tensor& pairs, const Tensor& rows, const AttentionMask& mask,
                     std::int64_t key_heads) {
  const Sizes d{pairs.dim(0), pairs.dim(1), key_heads, pairs.dim(2), pairs.dim(3), rows.dim(3)};
  Tensor sums =
      Tensor::empty({d.batch, key_heads, d.keys, d.features}, rows.dtype(), rows.device());
  const auto sum_head = [&]<class T>(T, std::int64_t b, std::int64_t key_head) {
    VectorSum<T> sum(d.keys * d.features);
    for (std::int64_t i = 0; i < d.group() * d.queries; ++i) {
      const std::int64_t h = key_head * d.group() + i / d.queries, s = i % d.queries;
      const std::int64_t row = (b * d.heads + h) * d.queries + s;
      const T *weight = pairs.data<T>() + row * d.keys, *q = rows.data<T>() + row * d.features;
      mask.for_each_run(b, h, s, [&](std::int64_t t, std::int64_t end) {
        for (; t < end; ++t) sum.add_part(i, weight[t], q, t * d.features, d.features);
      });
    }
    sum.finish(sums.data<T>() + (b * key_heads + key_head) * d.keys * d.features);
  };
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, rows.dtype(), "attention", [&]<class T>(T) {
      parallel_for(d.batch * key_heads, 1, [&](std::int64_t head, std::int64_t end) {
        for (; head < end; ++head) sum_head(T{}, head / key_heads, head % key_heads);
      });
    });
  };
  dispatch_device(rows.device(), kSumOverRowsCuda, on_cpu, pairs, rows, mask, sums);
  return sums;
}

}  // namespace maskgrad::ops
