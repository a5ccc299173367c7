// The gradient of a tile of queries. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/backward.hpp>
#include <maskgrad/ops/cuda/attention/chunks.hpp>
#include <maskgrad/ops/cuda/attention/grouped_sums.hpp>

namespace maskgrad::ops::attention {

template <class S>
struct QueryTileMemory {
  TileMemory<S> tile;
  typename ChunksOfQueries<S>::Memory chunks;
  QueryNumbers<typename S::T, S::kLeft> queries;
};

template <class S, bool kLong>
class QueryTile {
  using T = typename S::T;

 public:
  using Sums = GroupedSums<T, S::kPairs>;

  __device__ QueryTile(const Backward<T>& f, QueryTileMemory<S>& m)
      : f_(f),
        c_(f.call),
        m_(m),
        b_(f.memory.head() / c_.heads),
        h_(f.memory.head() % c_.heads),
        first_(f.memory.tile_from_end() * S::kLeft),
        queries_(smaller(S::kLeft, c_.queries - first_)),
        feature_(static_cast<int>(blockIdx.z) * S::kWidth),
        chunks_(m.chunks, c_.mask, c_.mask.row(b_, h_, first_), queries_),
        sums_(f.memory.of_sums()) {
    m.queries.load(f, (b_ * c_.heads + h_) * c_.queries + first_, queries_);
  }

  __device__ void run() {
    const int first_key = c_.first_key(b_);
    chunks_.for_each(first_key, [&](int key) {
      sums_.start_group((key - first_key) / kOfGroup);
      add_chunk(key);
    });
    sums_.finish();
    write();
  }

 private:
  __device__ void add_chunk(int key) {
    const std::int64_t key_head = c_.key_head(h_);
    const int keys = smaller(S::kRight, c_.keys - key);
    const Rows<T> q = {f_.q + c_.q.at(b_, h_, first_), c_.q.row, queries_, c_.packs},
                  g = {f_.grad_output + c_.output.at(b_, h_, first_), c_.output.row, queries_,
                       c_.packs},
                  k = {f_.k + c_.k.at(b_, key_head, key), c_.k.row, keys, c_.packs},
                  v = {f_.v + c_.v.at(b_, key_head, key), c_.v.row, keys, c_.packs};
    NumbersOfPairs<S> products, dscores;
    multiply<kLong>(m_.tile, ScaledRows<T>{g, f_.factor}, v, c_.value_features,
                    f_.memory.of_products(), dscores);
    multiply<kLong>(m_.tile, ScaledRows<T>{q, c_.scale}, k, c_.features, f_.memory.of_products(),
                    products);
    if (c_.scores.are_plain()) {
      differentiate_plain_pairs(products, dscores);
    } else {
      differentiate_pairs(key, products, dscores);
    }
    const auto kept = [&](int query, int of_chunk) { return chunks_.keeps(query, of_chunk); };
    sum_products(m_.tile, queries_, k, feature_, c_.features, kept, products);
    auto& sums = sums_.numbers();
    for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { sums[n] += products[n]; });
  }

  // Products and dp become ds, in the table.
  __device__ void differentiate_plain_pairs(const NumbersOfPairs<S>& products,
                                            NumbersOfPairs<S>& dscores) {
    for_each_pair<S>([&](auto i, auto j, auto n) MASKGRAD_INLINE {
      const int query = S::row() + i;
      const T d = differentiate_plain(f_, m_.queries, query, products[n], dscores[n]).dproduct;
      dscores[n] = chunks_.kept_of(query) >> j & 1 ? d : T{0};
    });
    write_table<S>(dscores, m_.tile.table);
  }
  __device__ void differentiate_pairs(int key, const NumbersOfPairs<S>& products,
                                      const NumbersOfPairs<S>& dscores) {
    auto &table = m_.tile.table, &second = m_.tile.second_table();
    write_table<S>(products, table);
    __syncthreads();  // left rows are read no more
    write_table<S>(dscores, second);
    for_each_pair_of_tile<S>([&](int query, int of_chunk, int place) {
      PairGradients<T> d = {0, 0, 0};
      if (chunks_.keeps(query, of_chunk)) {
        const Pair at = {b_, h_, first_ + query, key + of_chunk};
        d = differentiate(f_, m_.queries, query, table[place], second[place], at);
        // + 0: the CPU adds it to 0.
        if (f_.dbias && blockIdx.z == 0) {
          f_.dbias[c_.scores.place_of_bias(at)] = d.dscore / f_.factor + T{0};
        }
      }
      table[place] = d.dproduct;
    });
  }

  __device__ void write() {
    const int feature = feature_ + S::column();
    detail::unrolled<S::kRows>([&](auto i) MASKGRAD_INLINE {
      if (S::row() + i >= queries_) return;
      write_row<S>(sums_.numbers(), i, c_.features - feature, c_.packs,
                   f_.dq + c_.q.at(b_, h_, first_ + S::row() + i) + feature);
    });
  }

  const Backward<T>& f_;
  const Call<T>& c_;
  QueryTileMemory<S>& m_;
  const std::int64_t b_, h_;
  const int first_, queries_, feature_;  // of the tile; of the features
  ChunksOfQueries<S> chunks_;
  Sums sums_;
};

}  // namespace maskgrad::ops::attention
