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
  static constexpr int kQueriesOfGroup = AttentionTiles::kTilesOfGroup * S::kRight;

 public:
  // Of dk and of dv.
  using Sums = GroupedSums<T, S::kPairs>;

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
        sample_(f.memory.head() / call_.key_heads),
        key_head_(f.memory.head() % call_.key_heads),
        first_(f.memory.tile() * S::kLeft),
        keys_(smaller(S::kLeft, call_.keys - first_)),
        feature_(static_cast<int>(blockIdx.z) * S::kWidth),
        dk_(f.memory.of_sums()),
        dv_(f.memory.of_sums() + f.memory_of_dk) {}

  __device__ void run() {
    const int group = call_.heads / call_.key_heads;
    for (int i = 0; i < group; ++i) add_head(key_head_ * group + i, i * args_.groups_of_head);
    dk_.finish();
    dv_.finish();
    write(dk_, args_.dk + call_.k.at(sample_, key_head_, first_), call_.k.row, call_.features);
    write(dv_, args_.dv + call_.v.at(sample_, key_head_, first_), call_.v.row,
          call_.value_features);
  }

 private:
  __device__ void add_head(std::int64_t h, int first_group) {
    for (int query = 0; query < call_.queries; query += S::kRight) {
      const int queries = smaller(S::kRight, call_.queries - query);
      if (!shared_.kept.find(call_.mask, call_.mask.row(sample_, h, query), queries, first_))
        continue;
      shared_.queries.load(args_, (sample_ * call_.heads + h) * call_.queries + query, queries);
      const int group_of_tile = first_group + query / kQueriesOfGroup;
      dk_.start_group(group_of_tile);
      dv_.start_group(group_of_tile);
      add_queries(h, query, queries);
    }
  }

  __device__ void add_queries(std::int64_t h, int query, int queries) {
    const auto [q, g, k, v] = args_.rows(sample_, h, query, queries, first_, keys_);
    NumbersOfPairs<S> weights, dscores;
    multiply<kLong>(shared_.tile, v, ScaledRows<T>{g, args_.factor}, call_.value_features,
                    args_.memory.of_products(), dscores);
    multiply<kLong>(shared_.tile, k, ScaledRows<T>{q, call_.scale}, call_.features,
                    args_.memory.of_products(), weights);
    if (call_.scores.are_plain()) {
      differentiate_plain_pairs(weights, dscores);
    } else {
      differentiate_pairs(h, query, weights, dscores);
    }
    add(g, call_.value_features, dv_);
    __syncthreads();
    read_table<S>(shared_.tile.second_table(), dscores);
    write_table<S>(dscores, shared_.tile.table);
    add(q, call_.features, dk_);
  }

  // Products and dp become weights, in the table, and ds, in the second one.
  __device__ void differentiate_plain_pairs(NumbersOfPairs<S>& weights,
                                            NumbersOfPairs<S>& dscores) {
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
  __device__ void differentiate_pairs(std::int64_t h, int query, const NumbersOfPairs<S>& products,
                                      const NumbersOfPairs<S>& dscores) {
    auto &table = shared_.tile.table, &second = shared_.tile.second_table();
    write_table<S>(products, table);
    __syncthreads();
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
  __device__ void add(const Rows<T>& rows, int features, Sums& to) {
    if (feature_ >= features) return;
    NumbersOfPairs<S> sums;
    sum_products(
        shared_.tile, keys_, rows, feature_, features,
        [&](int key, int query) { return shared_.kept.keeps(query, key); }, sums);
    auto& all = to.numbers();
    for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { all[n] += sums[n]; });
  }

  // Rows `stride` apart.
  __device__ void write(Sums& sums, T* to, std::int64_t stride, int features) {
    const int feature = feature_ + S::column();
    detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE {
      if (S::row() + i >= keys_) return;
      write_row<S>(sums.numbers(), i, features - feature, call_.packs,
                   to + (S::row() + i) * stride + feature);
    });
  }

  const Backward<T>& args_;
  const Call<T>& call_;
  KeyGradientMemory<S>& shared_;
  const std::int64_t sample_, key_head_;
  const int first_, keys_, feature_;  // of the tile; of the features
  Sums dk_, dv_;
};

}  // namespace maskgrad::ops::attention
