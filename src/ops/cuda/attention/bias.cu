// The gradient of a bias that pairs share: sums over the axes that it does not have. Each sum has
// the CPU's order, that of samples, heads, queries and keys.
#include <maskgrad/ops/cuda/attention/backward.hpp>
#include <maskgrad/ops/cuda/attention/bias.hpp>

namespace maskgrad::ops::attention {
namespace {

// A sum, and what it has rounded away: see CompensatedSums (cpu/attention/query_sums.hpp).
template <class T>
struct CompensatedSum {
  T sum = 0, error = 0;

  __device__ void add(T x) {
    if (x == T{0}) return;
    const T term = x - error, total = sum + term, lost = (total - sum) - term;
    sum = total;
    error = lost - lost == T{0} ? lost : T{0};  // not of an Inf
  }
};

// Which axes the bias has; where it has neither, sums of each query come first.
struct BiasAxes {
  bool samples, heads, queries, keys;
};

template <class T>
struct BiasGradient {
  Backward<T> backward;
  BiasAxes axes;
  T* sums;                  // of the bias, or of each query
  std::int64_t strides[4];  // of `sums`
  std::int64_t batch;
  BlockMemory<T> memory;
};

template <class S>
struct BiasMemory {
  using T = typename S::T;
  TileMemory<S> tile;
  QueryNumbers<T, S::kLeft> queries;
  KeptPairs<S::kLeft, S::kRight> kept;
};

// Left rows are queries, right rows keys. A block has those of a tile, or all along an axis that
// the bias does not have.
template <class S, bool kLong>
class BiasTile {
  using T = typename S::T;

 public:
  __device__ BiasTile(const BiasGradient<T>& f, BiasMemory<S>& m)
      : args_(f), call_(f.backward.call), shared_(m) {}

  __device__ void run() {
    const std::int64_t head = args_.memory.head();
    const std::int64_t heads = args_.axes.heads ? call_.heads : 1;
    sample_ = args_.axes.samples ? head / heads : 0;
    head_ = args_.axes.heads ? head % heads : 0;
    const std::int64_t end_b = args_.axes.samples ? sample_ + 1 : args_.batch, first_h = head_,
                       end_h = args_.axes.heads ? head_ + 1 : call_.heads;
    const int tile = args_.memory.tile();
    const int chunks = args_.axes.keys ? (call_.keys + S::kRight - 1) / S::kRight : 1;
    query_ = args_.axes.queries ? tile / chunks * S::kLeft : 0;
    key_ = args_.axes.keys ? tile % chunks * S::kRight : 0;
    const std::int64_t place = sample_ * args_.strides[0] + head_ * args_.strides[1];
    for (; sample_ < end_b; ++sample_) {
      for (head_ = first_h; head_ < end_h; ++head_) add_head();
    }
    write(args_.sums + place);
  }

 private:
  __device__ static int thread() { return static_cast<int>(threadIdx.x); }

  __device__ void add_head() {
    const int first_query = query_, first_key = key_;
    const int end_query = args_.axes.queries ? query_ + 1 : call_.queries,
              end_key = args_.axes.keys ? key_ + 1 : call_.keys;
    for (; query_ < end_query; query_ += S::kLeft) {
      for (key_ = first_key; key_ < end_key; key_ += S::kRight) add_tile();
    }
    query_ = first_query;
    key_ = first_key;
  }

  __device__ void add_tile() {
    queries_ = smaller(S::kLeft, call_.queries - query_);
    keys_ = smaller(S::kRight, call_.keys - key_);
    if (!shared_.kept.find(call_.mask, call_.mask.row(sample_, head_, query_), queries_, key_))
      return;
    shared_.queries.load(args_.backward, (sample_ * call_.heads + head_) * call_.queries + query_,
                         queries_);
    differentiate_pairs();
    if (args_.axes.queries && args_.axes.keys) {
      NumbersOfPairs<S> dscores;
      read_table<S>(shared_.tile.table, dscores);
      for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { of_pairs_[n].add(dscores[n]); });
    } else {
      __syncthreads();
      add_table();
    }
  }

  // Gradients of scores, in the table.
  __device__ void differentiate_pairs() {
    const Backward<T>& f = args_.backward;
    const auto [q, g, k, v] = f.rows(sample_, head_, query_, queries_, key_, keys_);
    auto &table = shared_.tile.table, &second = shared_.tile.second_table();
    NumbersOfPairs<S> numbers;  // one kind after the other, as registers are few
    multiply<kLong>(shared_.tile, ScaledRows<T>{q, call_.scale}, k, call_.features,
                    args_.memory.of_products(), numbers);
    write_table<S>(numbers, table);
    multiply<kLong>(shared_.tile, ScaledRows<T>{g, f.factor}, v, call_.value_features,
                    args_.memory.of_products(), numbers);
    __syncthreads();  // left rows are read no more
    write_table<S>(numbers, second);
    for_each_pair_of_tile<S>([&](int query, int key, int place) {
      T d = 0;
      if (shared_.kept.keeps(query, key)) {
        const Pair at = {sample_, head_, query_ + query, key_ + key};
        d = differentiate(f, shared_.queries, query, table[place], second[place], at).dscore /
            f.factor;
      }
      table[place] = d;
    });
  }

  // Of one query or key, this thread's own.
  __device__ void add_table() {
    if (args_.axes.keys && thread() < keys_) {
      for (int query = 0; query < queries_; ++query) {
        own_.add(shared_.tile.table[shared_.tile.at(query, thread())]);
      }
    }
    if (args_.axes.queries && thread() < queries_) {
      for (int key = 0; key < keys_; ++key) {
        own_.add(shared_.tile.table[shared_.tile.at(thread(), key)]);
      }
    }
  }

  __device__ void write(T* to) {
    const std::int64_t* strides = args_.strides;
    if (args_.axes.queries && args_.axes.keys) {
      for_each_pair<S>([&](auto i, auto j, auto n) MASKGRAD_INLINE {
        const std::int64_t query = query_ + S::row() + i, key = key_ + S::column() + j;
        if (query >= call_.queries || key >= call_.keys) return;
        to[query * strides[2] + key * strides[3]] = of_pairs_[n].sum;
      });
    } else if (args_.axes.keys) {
      const std::int64_t key = key_ + thread();
      if (thread() < S::kRight && key < call_.keys) to[key * strides[3]] = own_.sum;
    } else {
      const std::int64_t query = query_ + thread();
      if (thread() < S::kLeft && query < call_.queries) to[query * strides[2]] = own_.sum;
    }
  }

  const BiasGradient<T>& args_;
  const Call<T>& call_;
  BiasMemory<S>& shared_;
  std::int64_t sample_ = 0, head_ = 0;
  int query_ = 0, queries_ = 0, key_ = 0, keys_ = 0;
  CompensatedSum<T> of_pairs_[S::kPairs];  // of this thread's pairs
  CompensatedSum<T> own_;
};

template <class S, bool kLong>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks)
    bias_kernel(const __grid_constant__ BiasGradient<typename S::T> f) {
  using Memory = BiasMemory<S>;
  MASKGRAD_SHARED(Memory, memory, );
  BiasTile<S, kLong>(f, memory).run();
}

// A thread for each place of a bias that has neither queries nor keys; x: of each query.
template <class T>
__global__ void add_queries_kernel(const T* x, BiasAxes axes, std::int64_t batch,
                                   std::int64_t heads, std::int64_t queries, std::int64_t places,
                                   T* sums) {
  const std::int64_t i = cuda::thread_number();
  if (i >= places) return;
  const std::int64_t of_sample = axes.heads ? heads : 1;
  const std::int64_t b = axes.samples ? i / of_sample : 0, h = axes.heads ? i % of_sample : 0;
  CompensatedSum<T> sum;
  for (std::int64_t sample = b; sample < (axes.samples ? b + 1 : batch); ++sample) {
    const std::int64_t first = (sample * heads + h) * queries,
                       count = (axes.heads ? 1 : heads) * queries;
    for (std::int64_t at = first; at < first + count; ++at) sum.add(x[at]);
  }
  sums[i] = sum.sum;
}

template <class T>
void launch_bias(const AttentionProblem& p, BiasGradient<T> f, Device device) {
  with_shape_of<T>(p, [&]<class S, bool kLong>(S, std::bool_constant<kLong>) {
    const std::int64_t tiles = (f.axes.queries ? pieces(p.queries, S::kLeft) : 1) *
                               (f.axes.keys ? pieces(p.keys, S::kRight) : 1);
    const std::int64_t heads = (f.axes.samples ? p.batch : 1) * (f.axes.heads ? p.heads : 1);
    launch_parts<S>({tiles, heads, 1}, std::max(p.features, p.value_features), 0, device,
                    bias_kernel<S, kLong>, f);
  });
}

// Sums of each query, then of those.
template <class T>
void launch_bias_of_heads(const AttentionProblem& p, BiasGradient<T> f, Tensor& dbias) {
  Tensor of_queries = Tensor::empty({p.batch, p.heads, p.queries}, p.dtype, dbias.device());
  const BiasAxes axes = f.axes;
  f.axes = {true, true, true, false};
  f.sums = of_queries.device_data<T>();
  const std::int64_t strides[] = {p.heads * p.queries, p.queries, 1, 0};
  std::copy_n(strides, 4, f.strides);
  launch_bias(p, f, dbias.device());
  cuda::launch({"attention", cuda::blocks_for(dbias.numel()), cuda::kThreads},
               add_queries_kernel<T>, f.sums, axes, p.batch, p.heads, p.queries, dbias.numel(),
               dbias.device_data<T>());
}

}  // namespace

void sum_bias_gradient(const ProblemOnDevice& on, const AttentionValues& values,
                       const Tensor& delta, const Tensor& grad_output, Tensor& dbias) {
  const AttentionProblem& p = on.problem;
  dispatch_dtype(FloatingTypes{}, p.dtype, "attention", [&]<class T>(T) {
    const auto& stride = p.bias_stride;
    const BiasGradient<T> f = {
        .backward = backward_of<T>(on, values, delta, grad_output),
        .axes = {stride[0] != 0, stride[1] != 0, stride[2] != 0, stride[3] != 0},
        .sums = dbias.device_data<T>(),
        .strides = {stride[0], stride[1], stride[2], stride[3]},
        .batch = p.batch,
        .memory = {}};
    if (f.axes.queries || f.axes.keys) {
      launch_bias(p, f, dbias.device());
    } else {
      launch_bias_of_heads(p, f, dbias);
    }
  });
}

}  // namespace maskgrad::ops::attention
