// The gradients of a tile of keys and their values. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/backward.hpp>
#include <maskgrad/ops/cuda/attention/grouped_sums.hpp>

namespace maskgrad::ops::attention {

template <class S>
struct KeyGradientMemory {
  TileMemory<S> tile;
  KeptPairs<S::kRight, S::kLeft> kept;
  QueryNumbers<typename S::T, S::kRight> queries;
};

/// Left rows are keys, right rows queries: those of a tile of the CPU's, of one head after another.
template <class S, bool kLong>
class KeyGradient {
  using T = typename S::T;
  // Where sums begin.
  template <int first>
  using First = std::integral_constant<int, first>;
  static constexpr First<0> kOfDk{};
  static constexpr First<S::kPairs> kOfDv{};
  static constexpr int kQueriesOfGroup = AttentionTiles::kTilesOfGroup * S::kRight;

 public:
  // Of dk, and behind them of dv: one kind of group, as registers are few.
  using Sums = GroupedSums<T, 2 * S::kPairs>;

  /// How many groups of sums each head has, as a power of two, and how many there may be in all.
  static std::int64_t groups_of_head(std::int64_t queries) {
    std::int64_t groups = 1;
    while (groups * kQueriesOfGroup < queries) groups *= 2;
    return groups;
  }
  static std::int64_t groups(const AttentionProblem& p) {
    return p.heads / p.key_heads * groups_of_head(p.queries);
  }

  __device__ KeyGradient(const Backward<T>& f, KeyGradientMemory<S>& m)
      : args_(f),
        call_(f.call),
        shared_(m),
        sample_(static_cast<int>(f.memory.head() / call_.key_heads)),
        key_head_(static_cast<int>(f.memory.head() % call_.key_heads)),
        first_(f.memory.tile() * S::kLeft),
        keys_(smaller(S::kLeft, call_.keys - first_)),
        feature_(static_cast<int>(blockIdx.z) * S::kWidth),
        sums_(f.memory.of_sums()) {}

  __device__ void run() {
    const int group = call_.heads / call_.key_heads;
    for (int i = 0; i < group; ++i) add_head(key_head_ * group + i, i * args_.groups_of_head);
    sums_.finish();
    write(kOfDk, args_.dk + call_.k.at(sample_, key_head_, first_), call_.k.row, call_.features);
    write(kOfDv, args_.dv + call_.v.at(sample_, key_head_, first_), call_.v.row,
          call_.value_features);
  }

 private:
  __device__ void add_head(int h, int first_group) {
    for (int query = 0; query < call_.queries; query += S::kRight) {
      const int queries = smaller(S::kRight, call_.queries - query);
      if (!shared_.kept.find(call_.mask, call_.mask.row(sample_, h, query), queries, first_))
        continue;
      shared_.queries.load(args_, (std::int64_t{sample_} * call_.heads + h) * call_.queries + query,
                           queries);
      sums_.start_group(first_group + query / kQueriesOfGroup);
      add_queries(h, query, queries);
    }
  }

  __device__ void add_queries(int h, int query, int queries) {
    const auto [q, g, k, v] = args_.rows(sample_, h, query, queries, first_, keys_);
    NumbersOfPairs<S> numbers;  // one kind after the other, as registers are few
    multiply<kLong>(shared_.tile, k, ScaledRows<T>{q, call_.scale}, call_.features,
                    args_.memory.of_products(), numbers);
    write_table<S>(numbers, shared_.tile.table);
    multiply<kLong>(shared_.tile, v, ScaledRows<T>{g, args_.factor}, call_.value_features,
                    args_.memory.of_products(), numbers);
    if (call_.scores.are_plain()) {
      differentiate_plain_pairs(numbers);
    } else {
      differentiate_pairs(h, query, numbers);
    }
    add(g, call_.value_features, kOfDv);
    __syncthreads();
    read_table<S>(shared_.tile.second_table(), numbers);
    write_table<S>(numbers, shared_.tile.table);
    add(q, call_.features, kOfDk);
  }

  // Products, in the table, and dp become weights, in the table, and ds, in the second one.
  __device__ void differentiate_plain_pairs(NumbersOfPairs<S>& dscores) {
    NumbersOfPairs<S> weights;
    read_table<S>(shared_.tile.table, weights);
    detail::unrolled<S::kColumns>([&](auto j) MASKGRAD_INLINE {
      const int query = S::column() + j;
      const std::uint32_t kept = shared_.kept.from(query, S::row());
      detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE {
        constexpr int n = i * S::kColumns + j;
        const PairGradients<T> d =
            differentiate_plain(args_, shared_.queries, query, weights[n], dscores[n]);
        weights[n] = kept >> i & 1 ? d.weight : T{0};
        dscores[n] = kept >> i & 1 ? d.dproduct : T{0};
      });
    });
    write_table<S>(weights, shared_.tile.table);
    __syncthreads();  // left rows are read no more
    write_table<S>(dscores, shared_.tile.second_table());
  }
  __device__ void differentiate_pairs(int h, int query, const NumbersOfPairs<S>& dscores) {
    auto &table = shared_.tile.table, &second = shared_.tile.second_table();
    __syncthreads();  // left rows are read no more
    write_table<S>(dscores, second);
    for_each_pair_of_tile<S>([&](int key, int of_tile, int place) {
      PairGradients<T> d = {0, 0, 0};
      if (shared_.kept.keeps(of_tile, key)) {
        d = differentiate(args_, shared_.queries, of_tile, table[place], second[place],
                          {sample_, h, query + of_tile, first_ + key});
      }
      table[place] = d.weight;
      second[place] = d.dproduct;
    });
  }

  // Adds the products of the table with rows of queries.
  template <int first>
  __device__ void add(const Rows<T>& rows, int features, First<first>) {
    if (feature_ >= features) return;
    NumbersOfPairs<S> sums;
    sum_products(
        shared_.tile, keys_, rows, feature_, features,
        [&](int key, int query) { return shared_.kept.keeps(query, key); }, sums);
    auto& all = sums_.numbers();
    for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { all[first + n] += sums[n]; });
  }

  // Rows `stride` apart.
  template <int first>
  __device__ void write(First<first>, T* to, std::int64_t stride, int features) {
    NumbersOfPairs<S> sums;
    for_each_pair<S>([&](auto, auto, auto n)
                         MASKGRAD_INLINE { sums[n] = sums_.numbers()[first + n]; });
    const int feature = feature_ + S::column();
    detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE {
      if (S::row() + i >= keys_) return;
      write_row<S>(sums, i, features - feature, call_.packs,
                   to + (S::row() + i) * stride + feature);
    });
  }

  const Backward<T>& args_;
  const Call<T>& call_;
  KeyGradientMemory<S>& shared_;
  const int sample_, key_head_;
  const int first_, keys_, feature_;  // of the tile; of the features
  Sums sums_;
};

}  // namespace maskgrad::ops::attention
