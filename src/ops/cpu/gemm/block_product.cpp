#include <maskgrad/ops/cpu/gemm/block_product.hpp>
#include <maskgrad/ops/cpu/gemm/block_tiles.hpp>

namespace maskgrad::ops {
namespace {

using detail::unrolled;
using namespace tiles;

// Columns [j, j + kColumns vectors) of one chain of b, `terms` of them from `right` on, side by
// side; where sums of b are wanted, these are added.
template <int kColumns, class T>
void copy_chain(const Product<T>& f, const T* right, std::int64_t terms, bool is_first, T* packed,
                T* sums_of_b) {
  Vec<T> sums[kColumns];
  unrolled<kColumns>([&](auto v) MASKGRAD_INLINE { sums[v] = Vec<T>(T{}); });
  std::int64_t until_skip = f.inner;
  for (std::int64_t p = 0; p < terms; ++p, right += f.step.right) {
    if (until_skip-- == 0) {
      right += f.skip.right;
      until_skip = f.inner - 1;
    }
    unrolled<kColumns>([&](auto v) MASKGRAD_INLINE {
      const Vec<T> x = Vec<T>::load_unaligned(right + v * kLanes<T>);
      x.store_aligned(packed + v * kLanes<T>);
      sums[v] += x;
    });
    packed += kColumns * kLanes<T>;
  }
  if (!sums_of_b) return;
  unrolled<kColumns>([&](auto v) MASKGRAD_INLINE {
    T* const to = sums_of_b + v * kLanes<T>;
    (is_first ? sums[v] : Vec<T>::load_unaligned(to) + sums[v]).store_unaligned(to);
  });
}

// A panel of many rows and several chains, chain by chain. Each chain of b is copied together, so
// that it stays in the nearest cache for all rows, at whatever distance its terms stand.
template <int kColumns, class T>
void run_panel_by_chains(std::int64_t rows, const Product<T>& f, std::int64_t j) {
  constexpr std::int64_t kWidth = kColumns * kLanes<T>;
  alignas(64) T packed[kTermsOfChain * kWidth];
  Product<T> chain = f;
  chain.b = packed;
  chain.c = f.c + j;
  chain.step.right = kWidth;
  chain.skip.right = 0;
  const T* right = f.b + j;
  for (std::int64_t p = 0; p < f.terms; p += f.of_chain) {
    chain.terms = std::min(f.of_chain, f.terms - p);
    chain.use = p == 0 ? Use::kStore : Use::kAdd;
    copy_chain<kColumns>(f, right, chain.terms, p == 0, packed, f.of_b ? f.of_b + j : nullptr);
    run_panel<kColumns, false>(rows, chain, 0);
    chain.a += f.chain.left;
    right += f.chain.right;
  }
}

// Wide panels for one row: its time is that of reading b, which long stretches of lines make
// shorter. Returns the number of columns that it did.
template <class T>
std::int64_t run_one_row(std::int64_t columns, const Product<T>& f) {
  std::int64_t j = 0;
  const auto run = [&](auto vectors) MASKGRAD_INLINE {
    for (; j + vectors * kLanes<T> <= columns; j += vectors * kLanes<T>) {
      run_blocks<T, 1, vectors, false>(1, 1, f, 0, j);
    }
  };
  run(std::integral_constant<int, 4 * kWidest>());
  run(std::integral_constant<int, 2 * kWidest>());
  return j;
}

// Sums over the terms of b for columns [j, columns), as of a row of ones.
template <class T>
void sum_columns_of_b(const Product<T>& f, std::int64_t j, std::int64_t columns) {
  for (; j < columns; j += kLanes<T>) {
    const std::int64_t count = std::min(kLanes<T>, columns - j);
    Vec<T> total(T{});
    const T* chain = f.b + j;
    for (std::int64_t p = 0; p < f.terms; p += f.of_chain, chain += f.chain.right) {
      Vec<T> sum(T{});
      const T* right = chain;
      for (std::int64_t i = 0; i < std::min(f.of_chain, f.terms - p); ++i, right += f.step.right) {
        if (i > 0 && i % f.inner == 0) right += f.skip.right;
        sum += load_first(right, count);
      }
      total = p == 0 ? sum : total + sum;
    }
    store_first(total, f.of_b + j, count);
  }
}

// The last `left` columns, fewer than 2 kColumns vectors of them. Halves, as three vectors beside
// eight rows run at two thirds of the speed.
template <int kColumns, bool kPart, class T>
void run_last_panels(std::int64_t left, std::int64_t rows, Product<T>& f, std::int64_t j) {
  constexpr std::int64_t kThese = kColumns * kLanes<T>, kWhole = kThese - kLanes<T>;
  if (left > kWhole) {
    f.last = std::min(kLanes<T>, left - kWhole);
    if (kPart && f.last < kLanes<T>) return run_panel<kColumns, true>(rows, f, j);
    run_panel<kColumns, false>(rows, f, j);
    left -= kThese;
    j += kThese;
  }
  if (left > 0) run_last_panels<std::max(1, kColumns / 2), kPart>(left, rows, f, j);
}

// Samples are the inner loop where there are some.
template <class T>
Product<T> product_of(const Terms& terms, const Strided<T>& a, const T* b, std::int64_t stride,
                      const Sums<T>& c) {
  const std::int64_t samples = terms.samples(), of_chain = terms.of_chain();
  const Distance term = {a.column, stride};
  Product<T> f = {a.data, a.row, b,   terms.length(), of_chain, kTermsOfChain, term,
                  {},     {},    c.c, c.stride,       c.use,    kLanes<T>,     c.of_b};
  if (samples != 1) {
    f.terms *= samples;
    f.of_chain *= samples;
    f.inner = samples;
    f.step = {terms.step() * a.column, terms.step() * stride};
    f.skip = {term.left - samples * f.step.left, term.right - samples * f.step.right};
  }
  f.chain = {of_chain * term.left, of_chain * term.right};
  if (f.terms == 0) f.a = f.b = c.c ? c.c : c.of_b;  // not null, which has no places; none is read
  return f;
}

}  // namespace

template <bool kPart, class T>
void block_product(std::int64_t rows, std::int64_t columns, const Terms& terms, const Strided<T>& a,
                   const T* b, std::int64_t stride, const Sums<T>& sums) {
  constexpr std::int64_t kStep = kWidest * kLanes<T>;
  Product<T> f = product_of(terms, a, b, stride, sums);
  if (rows == 0) {
    if (f.of_b) sum_columns_of_b(f, 0, columns);
    return;
  }
  constexpr std::int64_t kManyRows = 24;  // for which copying a chain pays
  const bool by_chains = rows >= kManyRows && f.terms > f.of_chain && f.use == Use::kStore;
  std::int64_t j = 0;
  if (rows == 1) j = run_one_row(columns, f);
  for (; j + kStep <= columns; j += kStep) {
    by_chains ? run_panel_by_chains<kWidest>(rows, f, j) : run_panel<kWidest, false>(rows, f, j);
  }
  if (f.of_b) sum_columns_of_b(f, by_chains ? j : 0, columns);
  run_last_panels<kWidest / 2, kPart>(columns - j, rows, f, j);
}

template void block_product<false>(std::int64_t, std::int64_t, const Terms&, const Strided<float>&,
                                   const float*, std::int64_t, const Sums<float>&);
template void block_product<true>(std::int64_t, std::int64_t, const Terms&, const Strided<float>&,
                                  const float*, std::int64_t, const Sums<float>&);
template void block_product<false>(std::int64_t, std::int64_t, const Terms&, const Strided<double>&,
                                   const double*, std::int64_t, const Sums<double>&);
template void block_product<true>(std::int64_t, std::int64_t, const Terms&, const Strided<double>&,
                                  const double*, std::int64_t, const Sums<double>&);

}  // namespace maskgrad::ops
