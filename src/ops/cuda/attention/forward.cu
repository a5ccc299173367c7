// Attention's output, a block of threads for each tile of queries. Every number has the bits of
// cpu/attention/forward.cpp.
#include <limits>

#include <maskgrad/ops/cuda/attention/grouped_sums.hpp>
#include <maskgrad/ops/cuda/attention/query_tile.hpp>

namespace maskgrad::ops::attention {
namespace {

template <class T>
struct Forward {
  Call<T> call;
  const T *q, *k, *v;
  T *output, *top, *inverse_sum;
  BlockMemory<T> memory;
};

template <class S>
struct ForwardMemory {
  using T = typename S::T;
  TileMemory<S> tile;
  typename ChunksOfQueries<S>::Memory chunks;
  T top[S::kLeft], factor[S::kLeft];  // of each query, from one thread to others
};

template <class S, bool kLong>
class ForwardTile : QueryTile<S> {
  using T = typename S::T;
  using Tile = QueryTile<S>;
  using Tile::sample_, Tile::call_, Tile::chunks_, Tile::feature_, Tile::first_, Tile::head_,
      Tile::queries_;
  static constexpr T kNothing = -std::numeric_limits<T>::infinity();
  static constexpr int kSums = S::kPairs;

 public:
  // The sums of this thread's queries and features, and last the sum of the weights of its own
  // query, if it has one.
  using Sums = GroupedSums<T, kSums + 1>;

  __device__ ForwardTile(const Forward<T>& f, ForwardMemory<S>& m)
      : Tile(f.call, f.memory, m.chunks), args_(f), shared_(m), sums_(f.memory.of_sums()) {
    detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE { top_[i] = kNothing; });
  }

  __device__ void run() {
    this->sum_over_chunks(sums_, [this](int key) { add_chunk(key); });
    write();
  }

 private:
  __device__ void add_chunk(int key) {
    const std::int64_t key_head = call_.key_head(head_);
    const int keys = this->keys_from(key);
    const Rows<T> q = call_.rows(args_.q, call_.q, sample_, head_, first_, queries_),
                  k = call_.rows(args_.k, call_.k, sample_, key_head, key, keys),
                  v = call_.rows(args_.v, call_.v, sample_, key_head, key, keys);
    NumbersOfPairs<S> weights;
    multiply<kLong>(shared_.tile, ScaledRows<T>{q, call_.scale}, k, call_.features,
                    args_.memory.of_products(), weights, has_queries_);
    has_queries_ = true;
    if (!call_.scores.are_plain()) find_scores(key, weights);
    weigh(weights);
    write_table<S>(weights, shared_.tile.table);
    __syncthreads();
    if (chunks_.has_query()) add_weights(keys);
    if (call_.scores.dropout > 0) {
      __syncthreads();
      drop(key);
    }
    NumbersOfPairs<S> sums;
    sum_products(
        shared_.tile, queries_, v, feature_, call_.value_features,
        [&](int query, int of_chunk) { return chunks_.keeps(query, of_chunk); }, sums);
    scale_down();
    auto& all = sums_.numbers();
    for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { all[n] += sums[n]; });
    all[kSums] += own_sum_;
  }

  // Of this thread's pairs, from the products.
  __device__ void find_scores(int key, NumbersOfPairs<S>& scores) {
    auto& table = shared_.tile.table;
    write_table<S>(scores, table);
    for_each_pair_of_tile<S>([&](int query, int of_chunk, int place) {
      if (!chunks_.keeps(query, of_chunk)) return;
      T slope;
      table[place] =
          call_.scores(table[place], {sample_, head_, first_ + query, key + of_chunk}, slope);
    });
    read_table<S>(table, scores);
  }

  // Scores become weights exp(score - top), top being the query's largest score so far.
  __device__ void weigh(NumbersOfPairs<S>& weights) {
    detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE {
      const std::uint32_t kept = chunks_.kept_of(S::row() + i);
      T top = top_[i];
      detail::unrolled<S::kColumns>([&](auto j) MASKGRAD_INLINE {
        T& score = weights[i * S::kColumns + j];
        score = kept >> j & 1 ? score : kNothing;
        top = top < score ? score : top;
      });
      top = cuda::combine_lanes(top, S::kAcross, [](T a, T b) { return a < b ? b : a; });
      top_[i] = top;
      if (S::column() == 0) shared_.top[S::row() + i] = top;
      detail::unrolled<S::kColumns>([&](auto j) MASKGRAD_INLINE {
        T& weight = weights[i * S::kColumns + j];
        weight = math::fast_exp(weight - shift_of(top));
      });
    });
  }

  // -inf - -inf is NaN.
  __device__ static T shift_of(T top) { return top == kNothing ? T{0} : top; }

  // Of this thread's query: adds up the chunk's weights.
  __device__ void add_weights(int keys) {
    const int query = chunks_.thread();
    const T top = shared_.top[query];
    own_sum_ = 0;
    for (int t = 0; t < keys; ++t) own_sum_ += shared_.tile.table[shared_.tile.at(query, t)];
    shared_.factor[query] = own_top_ == kNothing ? T{1} : math::fast_exp(own_top_ - shift_of(top));
    own_top_ = top;
  }

  __device__ void drop(int key) {
    for_each_pair_of_tile<S>([&](int query, int of_chunk, int place) {
      if (!chunks_.keeps(query, of_chunk)) return;
      shared_.tile.table[place] *=
          call_.scores.drop({sample_, head_, first_ + query, key + of_chunk});
    });
  }

  // What was summed with a smaller top.
  __device__ void scale_down() {
    sums_.for_each([&](auto i, T& sum) MASKGRAD_INLINE {
      const int query = i < kSums ? S::row() + i / S::kColumns : chunks_.thread();
      const T factor = query < S::kLeft ? shared_.factor[query] : T{1};
      if (factor != T{1}) sum = math::product(factor, sum);
    });
  }

  __device__ void write() {
    auto& sums = sums_.numbers();
    const T own_total = sums[kSums];
    if (chunks_.has_query()) shared_.top[chunks_.thread()] = own_total;
    __syncthreads();
    NumbersOfPairs<S> means;
    for_each_pair<S>([&](auto i, auto, auto n) MASKGRAD_INLINE {
      const T total = shared_.top[S::row() + i];
      means[n] = total == T{0} ? T{0} : sums[n] / total;
    });
    const int feature = feature_ + S::column();
    detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE {
      if (S::row() + i >= queries_) return;
      write_row<S>(means, i, call_.value_features - feature, call_.packs,
                   args_.output + call_.output.at(sample_, head_, first_ + S::row() + i) + feature);
    });
    if (blockIdx.z > 0 || chunks_.thread() >= queries_) return;
    const std::int64_t row = this->first_row() + chunks_.thread();
    args_.top[row] = own_total == T{0} ? T{0} : own_top_;
    args_.inverse_sum[row] = own_total == T{0} ? T{0} : T{1} / own_total;
  }

  const Forward<T>& args_;
  ForwardMemory<S>& shared_;
  Sums sums_;
  bool has_queries_ = false;            // whether the tile's memory has them
  T top_[S::kRows];                     // of this thread's left rows
  T own_top_ = kNothing, own_sum_ = 0;  // of this thread's query
};

template <class S, bool kLong>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks)
    forward_kernel(const __grid_constant__ Forward<typename S::T> f) {
  using Memory = ForwardMemory<S>;
  MASKGRAD_SHARED(Memory, memory, );
  ForwardTile<S, kLong>(f, memory).run();
}

void forward_on_device(const AttentionProblem& p, const Tensor& q, const Tensor& k, const Tensor& v,
                       Tensor& output, Tensor& top, Tensor& inverse_sum) {
  const ProblemOnDevice on(p, q.device());
  with_shape(p, [&]<class S, bool kLong>(S, std::bool_constant<kLong>) {
    using T = typename S::T;
    Forward<T> f = {.call = call_of<T>(on),
                    .q = q.device_data<T>(),
                    .k = k.device_data<T>(),
                    .v = v.device_data<T>(),
                    .output = output.device_data<T>(),
                    .top = top.device_data<T>(),
                    .inverse_sum = inverse_sum.device_data<T>(),
                    .memory = {}};
    f.call.packs = stand_in_packs<T>({{f.q, p.q, p.features},
                                      {f.k, p.k, p.features},
                                      {f.v, p.v, p.value_features},
                                      {f.output, p.output, p.value_features}});
    using Sums = typename ForwardTile<S, kLong>::Sums;
    launch_parts<S>({pieces(p.queries, S::kLeft), p.batch * p.heads, parts_of<S>(p.value_features)},
                    p.features,
                    Sums::memory(pieces(p.keys, AttentionTiles::kKeysOfGroup), S::kThreads),
                    q.device(), forward_kernel<S, kLong>, f);
  });
}

const bool kFilled = kFusedAttentionCuda.fill(forward_on_device);
const SharedKernels kSelfAttention("self_attention");

}  // namespace
}  // namespace maskgrad::ops::attention
