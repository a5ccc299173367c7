#include <algorithm>
#include <limits>

#include <maskgrad/ops/cpu/attention/key_sums.hpp>
#include <maskgrad/ops/cpu/attention/one_position.hpp>
#include <maskgrad/ops/cpu/attention/workspace.hpp>
#include <maskgrad/ops/cpu/gemm/block_product.hpp>
#include <maskgrad/ops/cpu/rows/row_kernels.hpp>
#include <maskgrad/ops/functors/fast_exp.hpp>
#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

constexpr std::int64_t kChunk = AttentionTiles::kKeys;
constexpr std::int64_t kMostFeatures = 512;  // whose products are one group of chains

// Calls f(i, constant) for i = 0 .. count-1 in steps of `constant`: eights, fours, twos and ones.
template <class F>
[[gnu::always_inline]] inline void in_steps(std::int64_t count, F f) {
  std::int64_t i = 0;
  const auto run = [&](auto step) MASKGRAD_INLINE {
    for (; i + step <= count; i += step) f(i, step);
  };
  run(std::integral_constant<int, 8>());
  run(std::integral_constant<int, 4>());
  run(std::integral_constant<int, 2>());
  run(std::integral_constant<int, 1>());
}

// The heads of one position. Keys stand along the lanes of a vector for scores, features for sums
// of values. Several sums run side by side, as each addition waits for the one before. Each sum has
// the order that it has in a tile of queries, and so the same bits.
template <class T>
class OnePosition {
 public:
  static std::int64_t workspace(const AttentionProblem& p) {
    return p.heads * (p.features + kChunk + 1) + size_of_sums(p, p.heads);
  }

  OnePosition(const AttentionProblem& p, Workspace<T>& memory)
      : p_(p),
        of_head_(whole_vectors<T>(p.value_features)),
        query_(memory.take(p.heads * p.features)),
        weights_(memory.take(p.heads * kChunk)),
        top_(memory.take(p.heads)),
        sums_(size_of_sums(p, p.heads), memory) {}

  // Heads [first, last) of sample b. k: of the sample.
  struct Part {
    std::int64_t b, first, last, keys;
    const T *q, *k, *v;
    T *output, *top, *inverse_sum;

    std::int64_t heads() const { return last - first; }
  };
  void run(const Part& part) {
    part_ = part;
    const auto times_scale = [scale = static_cast<T>(p_.scale)](const Vec<T>& x) {
      return multiply_add(Vec<T>(scale), x, Vec<T>(T{}));  // + 0, as transpose() does
    };
    map_vectors(part.heads() * p_.features, query_, times_scale, part.q);
    std::fill_n(top_, part.heads(), -std::numeric_limits<T>::infinity());
    sums_.start(size_of_sums(p_, part.heads()));
    for (std::int64_t t = 0; t < part.keys; t += kChunk) {
      sums_.start_group(t / AttentionTiles::kKeysOfGroup);
      add_chunk(t, std::min(kChunk, part.keys - t));
    }
    sums_.finish();
    for (std::int64_t h = 0; h < part.heads(); ++h) finish(h);
  }

 private:
  // For each head its values' sums in whole vectors; then the sum of each head's weights.
  static std::int64_t size_of_sums(const AttentionProblem& p, std::int64_t heads) {
    return heads * whole_vectors<T>(p.value_features) + whole_vectors<T>(heads);
  }
  T* totals() { return sums_.data() + part_.heads() * of_head_; }
  std::int64_t key_head(std::int64_t h) const { return p_.key_head(part_.first + h); }

  void add_chunk(std::int64_t t, std::int64_t count) {
    const T* const values = part_.v + t * p_.v.row;
    for (std::int64_t h = 0; h < part_.heads(); ++h) {
      fetch_values(h, values, count);
      write_scores(h, t, count);
      weigh(h, count);
    }
    add_weights(count);
    add_values(values, count);
  }

  // Asks for a head's share of a chunk's values, which a far cache may hold, while scores are
  // computed.
  void fetch_values(std::int64_t h, const T* values, std::int64_t count) const {
    constexpr std::int64_t kLine = 64 / sizeof(T);
    const std::int64_t size = count * p_.v.row, heads = part_.heads();
    for (std::int64_t i = size * h / heads; i < size * (h + 1) / heads; i += kLine) {
      __builtin_prefetch(values + i);
    }
  }

  // weights[t] = sum_d query[d] k[t][d]; behind `count` numbers without a meaning.
  void write_scores(std::int64_t h, std::int64_t t, std::int64_t count) {
    const std::int64_t width = p_.key_heads * p_.features;
    const T* const keys = part_.k + t * width + key_head(h) * p_.features * kKeysOfBlock;
    in_steps((count + kLanes<T> - 1) / kLanes<T>, [&](std::int64_t i, auto step) MASKGRAD_INLINE {
      const T* from[step];
      detail::unrolled<step>([&](auto v) MASKGRAD_INLINE {
        const std::int64_t key = (i + v) * kLanes<T>, in_block = key % kKeysOfBlock;
        from[v] = keys + (key - in_block) * width + in_block;
      });
      multiply<step>(query_ + h * p_.features, from, weights_ + h * kChunk + i * kLanes<T>);
    });
  }

  // to[t] = sum_d query[d] from[d][t], for some vectors of keys.
  template <int kVectors>
  void multiply(const T* query, const T* const (&from)[kVectors], T* to) const {
    Vec<T> sums[kVectors], chain[kVectors];
    detail::unrolled<kVectors>([&](auto v) MASKGRAD_INLINE { sums[v] = Vec<T>(T{}); });
    for (std::int64_t d = 0; d < p_.features; d += kTermsOfChain) {
      detail::unrolled<kVectors>([&](auto v) MASKGRAD_INLINE { chain[v] = Vec<T>(T{}); });
      const std::int64_t end = std::min(d + kTermsOfChain, p_.features);
      for (std::int64_t i = d; i < end; ++i) {
        const Vec<T> x(query[i]);
        detail::unrolled<kVectors>([&](auto v) MASKGRAD_INLINE {
          chain[v] = multiply_add(x, Vec<T>::load_unaligned(from[v] + i * kKeysOfBlock), chain[v]);
        });
      }
      detail::unrolled<kVectors>(
          [&](auto v) MASKGRAD_INLINE { sums[v] = d == 0 ? chain[v] : sums[v] + chain[v]; });
    }
    detail::unrolled<kVectors>(
        [&](auto v) MASKGRAD_INLINE { sums[v].store_unaligned(to + v * kLanes<T>); });
  }

  // Scores become weights exp(score - top), top being the largest score so far. What was summed
  // with a smaller one is scaled down.
  void weigh(std::int64_t h, std::int64_t count) {
    T* const weights = weights_ + h * kChunk;
    const T nothing = -std::numeric_limits<T>::infinity(), before = top_[h];
    const T top = top_[h] = std::max(before, row_max(weights, count));
    const T shift = top == nothing ? T{} : top;  // -inf - -inf is NaN
    row_exp(weights, shift, weights, count);
    if (before != nothing && before != top) scale_down(h, before - shift);
  }

  void scale_down(std::int64_t h, T difference) {
    const Vec<T> factor = math::fast_exp(Vec<T>(difference));
    sums_.for_each_table([&](T* table) {
      const auto scaled = [&](const Vec<T>& x) { return factor * x; };
      map_vectors(of_head_, table + h * of_head_, scaled, table + h * of_head_);
      table[part_.heads() * of_head_ + h] *= factor.get(0);
    });
  }

  void add_weights(std::int64_t count) {
    in_steps(part_.heads(), [&](std::int64_t h, auto heads) MASKGRAD_INLINE {
      const T* const weights = weights_ + h * kChunk;
      T sums[heads] = {};
      for (std::int64_t t = 0; t < count; ++t) {
        detail::unrolled<heads>([&](auto i)
                                    MASKGRAD_INLINE { sums[i] += weights[i * kChunk + t]; });
      }
      detail::unrolled<heads>([&](auto i) MASKGRAD_INLINE { totals()[h + i] += sums[i]; });
    });
  }

  // sums[h][d] += sum over t of values[t][d] weights[h][t]
  void add_values(const T* values, std::int64_t count) {
    const std::int64_t of_head = of_head_ / kLanes<T>, vectors = part_.heads() * of_head;
    if (of_head_ == p_.value_features) {
      in_steps(vectors, [&](std::int64_t i, auto step)
                            MASKGRAD_INLINE { add_columns<step, false>(values, count, i); });
    } else {
      for (std::int64_t i = 0; i < vectors; ++i) add_columns<1, true>(values, count, i);
    }
  }

  // Of some vectors of features from number i on, counted through the heads. Where kPart, the
  // vector may end early.
  template <int kVectors, bool kPart>
  void add_columns(const T* values, std::int64_t count, std::int64_t i) {
    const T *from[kVectors], *weights[kVectors];
    std::int64_t last = kLanes<T>;
    detail::unrolled<kVectors>([&](auto v) MASKGRAD_INLINE {
      const std::int64_t h = (i + v) * kLanes<T> / of_head_, d = (i + v) * kLanes<T> % of_head_;
      from[v] = values + key_head(h) * p_.value_features + d;
      weights[v] = weights_ + h * kChunk;
      if (kPart) last = std::min(kLanes<T>, p_.value_features - d);
    });
    Vec<T> sums[kVectors];
    detail::unrolled<kVectors>([&](auto v) MASKGRAD_INLINE { sums[v] = Vec<T>(T{}); });
    for (std::int64_t t = 0, at = 0; t < count; ++t, at += p_.v.row) {
      detail::unrolled<kVectors>([&](auto v) MASKGRAD_INLINE {
        const T* const x = from[v] + at;
        const Vec<T> value = kPart ? load_first(x, last) : Vec<T>::load_unaligned(x);
        sums[v] = multiply_add(value, Vec<T>(weights[v][t]), sums[v]);
      });
    }
    T* const to = sums_.data() + i * kLanes<T>;
    detail::unrolled<kVectors>([&](auto v) MASKGRAD_INLINE {
      T* const table = to + v * kLanes<T>;
      (Vec<T>::load_unaligned(table) + sums[v]).store_unaligned(table);
    });
  }

  void finish(std::int64_t h) {
    const T sum = totals()[h];
    const bool is_empty = sum == T{};
    const auto over_sum = [=](const Vec<T>& x) { return is_empty ? Vec<T>(T{}) : x / Vec<T>(sum); };
    map_vectors(p_.value_features, part_.output + h * p_.value_features, over_sum,
                static_cast<const T*>(sums_.data() + h * of_head_));
    part_.top[h] = is_empty ? T{} : top_[h];
    part_.inverse_sum[h] = is_empty ? T{} : T{1} / sum;
  }

  const AttentionProblem& p_;
  const std::int64_t of_head_;
  Part part_{};
  T *query_, *weights_, *top_;  // of each head: scaled; of a chunk, scores, then weights; so far
  KeySums<T> sums_;
};

std::int64_t keys_of(const AttentionProblem& p, std::int64_t b) {
  const std::span<const PairBlock> blocks = p.tiles.blocks(b, 0, 0);
  return blocks.empty() ? 0 : blocks[0].end;
}

template <class T>
void run(const AttentionProblem& p, AttentionValues& values) {
  const T *const q = std::as_const(values.q).data<T>(),
                 *const k = std::as_const(values.k).data<T>(),
                 *const v = std::as_const(values.v).data<T>();
  T *const output = values.output.data<T>(), *const top = values.top.data<T>(),
           *const inverse_sum = values.inverse_sum.data<T>();
  const std::int64_t group = p.heads / p.key_heads,
                     of_sample = values.k.numel() / std::max<std::int64_t>(1, p.batch);
  const std::int64_t work = group * (p.features + p.value_features + 16);
  const auto run_heads = [&](std::int64_t i, std::int64_t end) {
    Workspace<T> memory(OnePosition<T>::workspace(p));
    OnePosition<T> position(p, memory);
    while (i < end) {
      const std::int64_t b = i / p.key_heads, next = std::min(end, (b + 1) * p.key_heads);
      const std::int64_t first = i % p.key_heads * group, last = first + (next - i) * group;
      const std::int64_t row = b * p.heads + first;
      position.run({b, first, last, keys_of(p, b), q + p.q.at(b, first), k + b * of_sample,
                    v + p.v.at(b, 0), output + p.output.at(b, first), top + row,
                    inverse_sum + row});
      i = next;
    }
  };
  parallel_for(p.batch * p.key_heads, least_of_attention(p.pairs_of_head(), work), run_heads);
}

}  // namespace

bool is_one_position(const AttentionProblem& p) {
  if (p.queries != 1 || p.features > kMostFeatures || p.mask.shape()[1] != 1) return false;
  if (p.dropout > 0 || p.softcap || p.bias.defined()) return false;
  const auto takes = [&](std::int64_t b) {
    const std::span<const PairBlock> blocks = p.tiles.blocks(b, 0, 0);
    return blocks.empty() || (blocks.size() == 1 && blocks[0].begin == 0 && blocks[0].full);
  };
  for (std::int64_t b = 0; b < p.mask.shape()[0]; ++b) {
    if (!takes(b)) return false;
  }
  return true;
}

void attend_from_one_position(const AttentionProblem& p, const Shape& output,
                              AttentionValues& values) {
  make_outputs(p, output, values);
  dispatch_device(values.q.device(), "scaled_dot_product_attention", [&] {
    dispatch_dtype(FloatingTypes{}, p.dtype, "scaled_dot_product_attention",
                   [&]<class T>(T) { run<T>(p, values); });
  });
}

}  // namespace maskgrad::ops
