// Products over kept pairs, with the bits of cpu/attention/pairs.cpp.
#include <maskgrad/ops/cpu/attention/pairs.hpp>
#include <maskgrad/ops/cuda/attention/kept_keys.hpp>
#include <maskgrad/ops/cuda/attention/row_dot.hpp>
#include <maskgrad/ops/cuda/attention/terms.hpp>

namespace maskgrad::ops::attention {
namespace {

struct Sizes {
  std::int64_t heads, key_heads;
  int queries, keys, features;

  __device__ std::int64_t key_head(std::int64_t h) const { return h / (heads / key_heads); }
};

// Row number `row` of [B, H, S], and where its head's keys begin, in rows.
struct Row {
  std::int64_t sample, head, query, keys;

  __device__ Row(const Sizes& d, std::int64_t row)
      : sample(row / d.queries / d.heads),
        head(row / d.queries % d.heads),
        query(row % d.queries),
        keys((sample * d.key_heads + d.key_head(head)) * d.keys) {}
};

// A block for each row; some lanes for each of its pairs in turn.
template <class T>
__global__ void products_kernel(const T* rows, const T* keys, MaskRows mask, Sizes d, T* pairs) {
  const Row row(d, blockIdx.x);
  const KeptKeys kept(mask, mask.row(row.sample, row.head, row.query));
  const int lane = static_cast<int>(threadIdx.x) % kLanesOfRow;
  constexpr int kPairs = static_cast<int>(cuda::kThreads) / kLanesOfRow;
  for (int first = 0; first < d.keys; first += kPairs) {
    const int t = first + static_cast<int>(threadIdx.x) / kLanesOfRow;
    const bool exists = t < d.keys, keeps = exists && kept.keeps(t);
    const T sum = dot_of_lanes(rows + std::int64_t{blockIdx.x} * d.features,
                               keys + (row.keys + (keeps ? t : 0)) * d.features,
                               keeps ? d.features : 0, kLanesOfRow);
    if (exists && lane == 0) pairs[std::int64_t{blockIdx.x} * d.keys + t] = keeps ? sum : T{0};
  }
}

// A thread for each feature of each row.
template <class T>
__global__ void over_keys_kernel(const T* pairs, const T* keys, MaskRows mask, Sizes d,
                                 std::int64_t count, T* sums) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  const Row row(d, i / d.features);
  const KeptKeys kept(mask, mask.row(row.sample, row.head, row.query));
  const T* const weights = pairs + i / d.features * d.keys;
  const T* const x = keys + row.keys * d.features + i % d.features;
  SumOfTerms<T> sum;
  for (int t = kept.begin(); t < kept.end(); ++t) {
    if (kept.keeps(t)) sum.add(t, weights[t], x[std::int64_t{t} * d.features]);
  }
  sums[i] = sum.finish();
}

// A thread for each feature of each key: the queries of its heads, one after another.
template <class T>
__global__ void over_rows_kernel(const T* pairs, const T* rows, MaskRows mask, Sizes d,
                                 std::int64_t count, T* sums) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  const std::int64_t key = i / d.features % d.keys, head = i / d.features / d.keys,
                     b = head / d.key_heads, group = d.heads / d.key_heads;
  SumOfTerms<T> sum;
  for (std::int64_t term = 0; term < group * d.queries; ++term) {
    const std::int64_t h = head % d.key_heads * group + term / d.queries, s = term % d.queries;
    const KeptKeys kept(mask, mask.row(b, h, s));
    if (!kept.keeps(static_cast<int>(key))) continue;
    const std::int64_t row = (b * d.heads + h) * d.queries + s;
    sum.add(term, pairs[row * d.keys + key], rows[row * d.features + i % d.features]);
  }
  sums[i] = sum.finish();
}

Sizes sizes_of(std::int64_t key_heads, const Shape& pairs, std::int64_t features) {
  return {pairs[1], key_heads, static_cast<int>(pairs[2]), static_cast<int>(pairs[3]),
          static_cast<int>(features)};
}

// Of a sum with a thread for each of its elements.
cuda::Launch each(const Tensor& sums) {
  return {"attention", cuda::blocks_for(sums.numel()), cuda::kThreads};
}

void products_on_device(const Tensor& rows, const Tensor& keys, const AttentionMask& mask,
                        Tensor& pairs) {
  if (pairs.numel() == 0) return;
  const Shape& shape = pairs.shape();
  dispatch_dtype(FloatingTypes{}, pairs.dtype(), "attention", [&]<class T>(T) {
    cuda::launch({"attention", cuda::blocks_for(shape[0] * shape[1] * shape[2], 1), cuda::kThreads},
                 products_kernel<T>, rows.device_data<T>(), keys.device_data<T>(),
                 rows_of(mask, pairs.device()), sizes_of(keys.dim(1), shape, rows.dim(3)),
                 pairs.device_data<T>());
  });
}

void over_keys_on_device(const Tensor& pairs, const Tensor& keys, const AttentionMask& mask,
                         Tensor& sums) {
  dispatch_dtype(FloatingTypes{}, sums.dtype(), "attention", [&]<class T>(T) {
    cuda::launch(each(sums), over_keys_kernel<T>, pairs.device_data<T>(), keys.device_data<T>(),
                 rows_of(mask, sums.device()), sizes_of(keys.dim(1), pairs.shape(), keys.dim(3)),
                 sums.numel(), sums.device_data<T>());
  });
}

void over_rows_on_device(const Tensor& pairs, const Tensor& rows, const AttentionMask& mask,
                         Tensor& sums) {
  dispatch_dtype(FloatingTypes{}, sums.dtype(), "attention", [&]<class T>(T) {
    cuda::launch(each(sums), over_rows_kernel<T>, pairs.device_data<T>(), rows.device_data<T>(),
                 rows_of(mask, sums.device()), sizes_of(sums.dim(1), pairs.shape(), rows.dim(3)),
                 sums.numel(), sums.device_data<T>());
  });
}

const bool kFilled = kPairProductsCuda.fill(products_on_device) &&
                     kSumOverKeysCuda.fill(over_keys_on_device) &&
                     kSumOverRowsCuda.fill(over_rows_on_device);

}  // namespace
}  // namespace maskgrad::ops::attention
