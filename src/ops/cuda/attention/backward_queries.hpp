// The gradient of a tile of queries. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/backward.hpp>
#include <maskgrad/ops/cuda/attention/grouped_sums.hpp>
#include <maskgrad/ops/cuda/attention/query_tile.hpp>

namespace maskgrad::ops::attention {

template <class S>
struct QueryGradientMemory {
  TileMemory<S> tile;
  typename ChunksOfQueries<S>::Memory chunks;
  QueryNumbers<typename S::T, S::kLeft> queries;
};

template <class S, bool kLong>
class QueryGradient : QueryTile<S> {
  using T = typename S::T;
  using Tile = QueryTile<S>;
  using Tile::sample_, Tile::call_, Tile::chunks_, Tile::feature_, Tile::first_, Tile::head_,
      Tile::queries_;

 public:
  using Sums = GroupedSums<T, S::kPairs>;

  __device__ QueryGradient(const Backward<T>& f, QueryGradientMemory<S>& m)
      : Tile(f.call, f.memory, m.chunks), args_(f), shared_(m), sums_(f.memory.of_sums()) {
    m.queries.load(f, this->first_row(), queries_);
  }

  __device__ void run() {
    this->sum_over_chunks(sums_, [this](int key) { add_chunk(key); });
    write();
  }

 private:
  __device__ void add_chunk(int key) {
    const auto [q, g, k, v] =
        args_.rows(sample_, head_, first_, queries_, key, this->keys_from(key));
    NumbersOfPairs<S> products, dscores;
    multiply<kLong>(shared_.tile, ScaledRows<T>{g, args_.factor}, v, call_.value_features,
                    args_.memory.of_products(), dscores);
    multiply<kLong>(shared_.tile, ScaledRows<T>{q, call_.scale}, k, call_.features,
                    args_.memory.of_products(), products);
    if (call_.scores.are_plain()) {
      differentiate_plain_pairs(products, dscores);
    } else {
      differentiate_pairs(key, products, dscores);
    }
    const auto kept = [&](int query, int of_chunk) { return chunks_.keeps(query, of_chunk); };
    sum_products(shared_.tile, queries_, k, feature_, call_.features, kept, products);
    auto& sums = sums_.numbers();
    for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { sums[n] += products[n]; });
  }

  // Products and dp become ds, in the table.
  __device__ void differentiate_plain_pairs(const NumbersOfPairs<S>& products,
                                            NumbersOfPairs<S>& dscores) {
    for_each_pair<S>([&](auto i, auto j, auto n) MASKGRAD_INLINE {
      const int query = S::row() + i;
      const T d =
          differentiate_plain(args_, shared_.queries, query, products[n], dscores[n]).dproduct;
      dscores[n] = chunks_.kept_of(query) >> j & 1 ? d : T{0};
    });
    write_table<S>(dscores, shared_.tile.table);
  }
  __device__ void differentiate_pairs(int key, const NumbersOfPairs<S>& products,
                                      const NumbersOfPairs<S>& dscores) {
    auto &table = shared_.tile.table, &second = shared_.tile.second_table();
    write_table<S>(products, table);
    __syncthreads();  // left rows are read no more
    write_table<S>(dscores, second);
    for_each_pair_of_tile<S>([&](int query, int of_chunk, int place) {
      PairGradients<T> d = {0, 0, 0};
      if (chunks_.keeps(query, of_chunk)) {
        const Pair at = {sample_, head_, first_ + query, key + of_chunk};
        d = differentiate(args_, shared_.queries, query, table[place], second[place], at);
        // + 0: the CPU adds it to 0.
        if (args_.dbias && blockIdx.z == 0) {
          args_.dbias[call_.scores.place_of_bias(at)] = d.dscore / args_.factor + T{0};
        }
      }
      table[place] = d.dproduct;
    });
  }

  __device__ void write() {
    const int feature = feature_ + S::column();
    detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE {
      if (S::row() + i >= queries_) return;
      write_row<S>(sums_.numbers(), i, call_.features - feature, call_.packs,
                   args_.dq + call_.q.at(sample_, head_, first_ + S::row() + i) + feature);
    });
  }

  const Backward<T>& args_;
  QueryGradientMemory<S>& shared_;
  Sums sums_;
};

}  // namespace maskgrad::ops::attention
