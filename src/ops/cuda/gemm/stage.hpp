// Parts of the factors of a product in shared memory. For `.cu` files. Internal to src/ops.
#pragma once

#include <algorithm>

#include <maskgrad/ops/cuda/gemm/products.hpp>

namespace maskgrad::ops::cuda_gemm {

/// Numbers that a thread reads at once.
template <class T, int count>
struct alignas(sizeof(T) * count) Pack {
  T v[count];
};
/// 16 bytes of them, or all of fewer.
template <class T>
constexpr int pack_of(int count) {
  return std::min(count, static_cast<int>(16 / sizeof(T)));
}

/// `count` numbers, a whole number of packs.
template <class T, int count, int pack>
struct Packs {
  alignas(sizeof(T) * pack) T v[count];

  __device__ Pack<T, pack>& pack_at(int i) { return reinterpret_cast<Pack<T, pack>&>(v[i * pack]); }
  __device__ const Pack<T, pack>& pack_at(int i) const {
    return reinterpret_cast<const Pack<T, pack>&>(v[i * pack]);
  }
};
/// One term of `rows` rows of a factor. With the last pack, which is empty, terms that follow each
/// other lie in other banks.
template <class T, int rows, int pack>
struct StagedTerm : Packs<T, rows + pack, pack> {
  static constexpr int kRows = rows, kPack = pack;
  static constexpr T kMissing = 1;  // stands where there is no number

  __device__ void put(int row, T x) { this->v[row] = x; }
  __device__ void put(int row, const Pack<T, pack>& x) { this->pack_at(row / pack) = x; }
};

/// A chain of the terms of a group: of `samples` samples, which begin `step` terms apart, those
/// that stand behind the first `begin` of the group.
struct Chain {
  std::int64_t first, step;
  int samples, begin, terms;

  /// The number of its term u among all.
  __device__ std::int64_t operator[](int u) const {
    const auto at = static_cast<unsigned>(begin + u), each = static_cast<unsigned>(samples);
    return first + at / each + at % each * step;
  }
};
__host__ __device__ inline int chains_of(const Terms& terms) {
  return static_cast<int>((terms.length() + terms.of_chain() - 1) / terms.of_chain());
}
__device__ inline Chain chain_of(const BatchSum::Group& group, int number) {
  const Terms& terms = group.terms;
  const int samples = static_cast<int>(terms.samples()), each = static_cast<int>(terms.of_chain()),
            begin = number * each,
            length = std::min(each, static_cast<int>(terms.length()) - begin);
  return {group.first, terms.step(), samples, begin * samples, length * samples};
}

/// Some rows of a factor. A tile may have more than there are.
struct Source {
  std::int64_t place;  // of the first, in elements behind the factor
  std::int64_t rows;
};
/// Those from `first` on, where the factor stands `offset` elements further.
template <class T>
__device__ Source source_of(const Factor<T>& factor, std::int64_t offset, std::int64_t first) {
  return {offset + first * factor.outer, factor.rows - first};
}

/// Some terms of a chain that follow each other. Term p has the number numbers[p] among all, which
/// is first + p where the factor is along terms.
struct Step {
  int terms;
  std::int64_t first;
  const std::int64_t* numbers;
};

// Copies `depth` terms of `rows` rows, each access `wide` numbers that lie side by side: terms of a
// row, or rows of a term. All are there, or, where `wide` is one, perhaps not.
template <int wide, bool along_terms, int depth, int threads, class T, class Term>
__device__ void copy_terms(const Factor<T>& factor, const Source& source, const Step& step,
                           int thread, Term* to) {
  constexpr int rows = Term::kRows;
  constexpr int kEach = std::max(1, rows * depth / (threads * wide)),
                kAtOnce = std::min<int>(kEach, int{32 / sizeof(T)} / std::min(wide, 2));
  static_assert(kEach % kAtOnce == 0);
  constexpr int kOfRow = depth / wide, kOfTerm = rows / wide;
  constexpr int kNextRow = along_terms ? threads / kOfRow : 0,
                kNextTerm = along_terms ? 0 : threads / kOfTerm;
  if (thread >= kOfRow * rows) return;
  int row = along_terms ? thread / kOfRow : thread % kOfTerm * wide,
      term = along_terms ? thread % kOfRow * wide : thread / kOfTerm;
  const int rows_there = static_cast<int>(std::min<std::int64_t>(rows, source.rows));
  const T* from =
      factor.data + source.place + row * factor.outer + (along_terms ? step.first + term : 0);
  for (int begin = 0; begin < kEach; begin += kAtOnce) {
    Pack<T, wide> values[kAtOnce];
    detail::unrolled<kAtOnce>([&](auto n) MASKGRAD_INLINE {
      const int p = term + n * kNextTerm;
      if (wide > 1 || (row + n * kNextRow < rows_there && p < step.terms)) {
        const T* const at = along_terms ? from : from + step.numbers[p] * factor.term;
        values[n] = *reinterpret_cast<const Pack<T, wide>*>(at);
      } else {
        values[n].v[0] = Term::kMissing;
      }
      if (along_terms) from += kNextRow * factor.outer;
    });
    detail::unrolled<kAtOnce>([&](auto n) MASKGRAD_INLINE {
      if constexpr (along_terms || wide == 1) {
        detail::unrolled<wide>([&](auto e)
                                   MASKGRAD_INLINE { to[term + e].put(row, values[n].v[e]); });
      } else {
        static_assert(wide == Term::kPack);
        to[term].put(row, values[n]);
      }
      row += kNextRow;
      term += kNextTerm;
    });
  }
}

/// Writes the terms of `step`, `depth` at most, of Term::kRows rows of the factor to shared memory.
/// Thread `thread` of `threads`, each of which calls it. along_terms: what the factor says.
template <bool along_terms, int depth, int threads, class T, class Term>
__device__ void stage(const Factor<T>& factor, const Source& source, const Step& step, int thread,
                      Term* to) {
  constexpr int rows = Term::kRows, pack = Term::kPack;
  if constexpr (pack > 1 && rows * depth % (threads * pack) == 0) {
    const auto address = reinterpret_cast<std::uintptr_t>(factor.data + source.place);
    const bool is_whole = rows <= source.rows && step.terms == depth,
               has_packs = (along_terms ? factor.outer : factor.term) % pack == 0 &&
                           address % (pack * sizeof(T)) == 0;
    if (is_whole && has_packs) {
      return copy_terms<pack, along_terms, depth, threads>(factor, source, step, thread, to);
    }
  }
  copy_terms<1, along_terms, depth, threads>(factor, source, step, thread, to);
}

}  // namespace maskgrad::ops::cuda_gemm
