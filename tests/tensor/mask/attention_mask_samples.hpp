// Random attention masks beside plain tables of bits, filled in by the defining formulas.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad::test {

using Int = std::int64_t;

struct Table {
  Shape shape;             // [B, H, S, T]
  std::vector<bool> bits;  // row-major

  bool at(Int b, Int h, Int s, Int t) const {
    b = shape[0] == 1 ? 0 : b;
    h = shape[1] == 1 ? 0 : h;
    return bits[static_cast<std::size_t>(((b * shape[1] + h) * shape[2] + s) * shape[3] + t)];
  }
};

using Pairs = std::function<bool(Int b, Int h, Int i, Int j)>;

inline Table table_of(const Shape& shape, const Pairs& keeps) {
  Table table{shape, {}};
  for (Int b = 0; b < shape[0]; ++b)
    for (Int h = 0; h < shape[1]; ++h)
      for (Int i = 0; i < shape[2]; ++i)
        for (Int j = 0; j < shape[3]; ++j) table.bits.push_back(keeps(b, h, i, j));
  return table;
}

inline Table combine(const Table& a, const Table& b, bool both) {
  const auto larger = [&](int axis) { return a.shape[axis] == 1 ? b.shape[axis] : a.shape[axis]; };
  return table_of({larger(0), larger(1), a.shape[2], a.shape[3]}, [&](Int n, Int h, Int i, Int j) {
    return both ? a.at(n, h, i, j) && b.at(n, h, i, j) : a.at(n, h, i, j) || b.at(n, h, i, j);
  });
}

struct Run {
  Int lo, hi;
  friend bool operator==(const Run&, const Run&) = default;
};

inline std::vector<Run> runs_of(const Table& table, Int b, Int h, Int s) {
  std::vector<Run> runs;
  for (Int t = 0; t < table.shape[3]; ++t) {
    if (!table.at(b, h, s, t)) continue;
    if (t > 0 && table.at(b, h, s, t - 1))
      ++runs.back().hi;
    else
      runs.push_back({t, t + 1});
  }
  return runs;
}

// The whole range in every case: by default, the first cases of a property draw little but `low`.
inline rc::Gen<Int> integers(Int low, Int high) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<Int>(low, high + 1));
}

inline Int draw_int(Int low, Int high) { return *integers(low, high); }

struct Sizes {
  Int batch, heads, queries, keys;
};

// Zero and one often, and so many keys that most masks are neither nothing nor everything.
inline Sizes draw_sizes() {
  const auto size = [](Int most) {
    return draw_int(0, 7) == 0 ? draw_int(0, 1) : draw_int(2, most);
  };
  const Int batch = draw_int(0, 7) == 0 ? 0 : draw_int(1, 3), keys = size(14);
  return {batch, draw_int(1, 3), draw_int(0, 2) == 0 ? keys : size(10), keys};
}

// Each bit true in `percent` of cases, 0 and 100 included.
inline Table draw_table(const Shape& shape) {
  const Int percent = *rc::gen::element<Int>(0, 20, 50, 50, 50, 80, 100);
  const auto bits = *rc::gen::container<std::vector<Int>>(static_cast<std::size_t>(shape.numel()),
                                                          integers(0, 99));
  Table table{shape, {}};
  for (const Int bit : bits) table.bits.push_back(bit < percent);
  return table;
}

inline Tensor tensor_of(const Table& table, const Shape& shape) {
  Tensor tensor = Tensor::empty(shape, DType::kBool);
  std::copy(table.bits.begin(), table.bits.end(), tensor.data<bool>());
  return tensor;
}

struct Sample {
  AttentionMask mask;
  Table table;
};

inline Sample draw_causal(const Sizes& n) {
  const Int offset = draw_int(-4, 8);
  return {
      AttentionMask::causal(n.queries, n.keys, offset),
      table_of({1, 1, n.queries, n.keys}, [=](Int, Int, Int i, Int j) { return j <= i + offset; })};
}

inline Sample draw_window(const Sizes& n) {
  const Int left = draw_int(0, 4), right = draw_int(0, 4);
  return {AttentionMask::window(n.queries, n.keys, left, right),
          table_of({1, 1, n.queries, n.keys},
                   [=](Int, Int, Int i, Int j) { return i - left <= j && j <= i + right; })};
}

inline Sample draw_prefix(const Sizes& n) {
  const Int prefix = draw_int(0, 7);
  return {AttentionMask::prefix(n.queries, n.keys, prefix),
          table_of({1, 1, n.queries, n.keys},
                   [=](Int, Int, Int i, Int j) { return j <= i || j < prefix; })};
}

inline Sample draw_sink(const Sizes& n) {
  const Int sinks = draw_int(0, 7);
  return {AttentionMask::sink(n.queries, n.keys, sinks),
          table_of({1, 1, n.queries, n.keys}, [=](Int, Int, Int, Int j) { return j < sinks; })};
}

inline Sample draw_all(const Sizes& n) {
  return {AttentionMask::all(n.queries, n.keys),
          table_of({1, 1, n.queries, n.keys}, [](Int, Int, Int, Int) { return true; })};
}

inline Sample draw_padding(const Sizes& n) {
  const Table exists = draw_table({n.batch, 1, 1, n.keys});
  const SequenceMask keys(tensor_of(exists, {n.batch, n.keys}));
  return {AttentionMask::padding(keys, n.queries),
          table_of({n.batch, 1, n.queries, n.keys},
                   [&](Int b, Int, Int, Int j) { return exists.at(b, 0, 0, j); })};
}

// Always as many queries as keys.
inline Sample draw_existing(const Sizes& n) {
  const Table exists = draw_table({n.batch, 1, 1, n.keys});
  return {AttentionMask::existing(SequenceMask(tensor_of(exists, {n.batch, n.keys}))),
          table_of({n.batch, 1, n.keys, n.keys}, [&](Int b, Int, Int i, Int j) {
            return exists.at(b, 0, 0, i) && exists.at(b, 0, 0, j);
          })};
}

// Always as many queries as keys.
inline Sample draw_segments(const Sizes& n) {
  const Int size = n.keys, most = draw_int(0, 3);
  const DType dtype = *rc::gen::element(DType::kInt32, DType::kInt64);
  Tensor ids = Tensor::empty({n.batch, size}, DType::kInt64);
  const auto values = *rc::gen::container<std::vector<Int>>(
      static_cast<std::size_t>(n.batch * size), integers(-2, most));
  std::copy(values.begin(), values.end(), ids.data<Int>());
  const auto id = [&](Int b, Int s) { return values[static_cast<std::size_t>(b * size + s)]; };
  return {AttentionMask::segments(ids.to(dtype)),
          table_of({n.batch, 1, size, size}, [&](Int b, Int, Int i, Int j) {
            return id(b, i) == id(b, j) && id(b, i) >= 0;
          })};
}

// Of rank 2 to 4, with or without dimensions to be stretched.
inline Sample draw_bits(const Sizes& n) {
  const int rank = static_cast<int>(draw_int(2, 4));
  const auto one_or = [](Int size) { return draw_int(0, 3) == 0 ? Int{1} : size; };
  const Shape full = {rank == 4 ? one_or(n.batch) : 1, rank >= 3 ? one_or(n.heads) : 1,
                      one_or(n.queries), one_or(n.keys)};
  const Table table = draw_table(full);
  const Tensor bits = tensor_of(table, full.slice(4 - rank, 4));
  return {AttentionMask::bits(bits, n.queries, n.keys),
          table_of({full[0], full[1], n.queries, n.keys}, [&](Int b, Int h, Int i, Int j) {
            return table.at(b, h, full[2] == 1 ? 0 : i, full[3] == 1 ? 0 : j);
          })};
}

inline Sample draw_leaf(const Sizes& n) {
  switch (draw_int(n.queries == n.keys ? 0 : 1, 11)) {
    case 0:
      return draw_int(0, 1) ? draw_segments(n) : draw_existing(n);
    case 1:
      return draw_all(n);
    case 2:
      return draw_causal(n);
    case 3:
      return draw_window(n);
    case 4:
      return draw_prefix(n);
    case 5:
      return draw_sink(n);
    case 6:
    case 7:
      return draw_padding(n);
    default:
      return draw_bits(n);
  }
}

inline Sample both(const Sample& a, const Sample& b) {
  return {a.mask & b.mask, combine(a.table, b.table, true)};
}
inline Sample either(const Sample& a, const Sample& b) {
  return {a.mask | b.mask, combine(a.table, b.table, false)};
}
inline Sample neither(Sample a) {
  a.table.bits.flip();
  return {~a.mask, a.table};
}

// An expression of up to four masks.
inline Sample draw_sample(const Sizes& n, int depth = 2) {
  switch (depth == 0 ? 0 : draw_int(0, 4)) {
    case 2:
      return neither(draw_sample(n, depth - 1));
    case 3:
      return both(draw_sample(n, depth - 1), draw_sample(n, depth - 1));
    case 4:
      return either(draw_sample(n, depth - 1), draw_sample(n, depth - 1));
    default:
      return draw_leaf(n);
  }
}

inline AttentionMask draw_mask(const Sizes& n) { return draw_sample(n).mask; }

}  // namespace maskgrad::test
