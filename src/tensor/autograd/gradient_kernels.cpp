#include <algorithm>
#include <cstring>
#include <utility>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

namespace maskgrad {
namespace {

// x [outer, along, inner] -> sums [outer, inner], in columns of whole cache lines.
constexpr std::int64_t kColumns = 64;

// Calls f(outer, first column, columns) for the parts of all columns.
template <class F>
void for_each_columns(std::int64_t outer, std::int64_t inner, std::int64_t along, F f) {
  const std::int64_t parts = (inner + kColumns - 1) / kColumns;
  parallel_for(outer * parts, least_for(along, kColumns), [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) {
      const std::int64_t j = i % parts * kColumns;
      f(i / parts, j, std::min(kColumns, inner - j));
    }
  });
}

// Few columns of many rows: chunks of rows side by side, whose sums are then added in the tree that
// sum_rows() adds blocks in. A chunk of 2^k blocks is a node of that tree, so the bits are the
// same.
template <class T>
void sum_chunks(const T* x, std::int64_t outer, std::int64_t along, std::int64_t inner, T* sums) {
  constexpr std::int64_t kChunk = 32 * kRowsOfBlock;
  const std::int64_t chunks = (along + kChunk - 1) / kChunk;
  PoolVector<T> partial(static_cast<std::size_t>(outer * chunks * inner));
  T* const of_chunks = partial.data();
  for_each_columns(
      outer * chunks, inner, kChunk, [=](std::int64_t i, std::int64_t j, std::int64_t columns) {
        const std::int64_t first = i % chunks * kChunk;
        sum_rows(x + (i / chunks * along + first) * inner + j, std::min(kChunk, along - first),
                 columns, inner, of_chunks + i * inner + j);
      });
  for_each_columns(outer, inner, chunks, [=](std::int64_t o, std::int64_t j, std::int64_t columns) {
    PairwiseSum<T> tree(columns);
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      std::copy_n(of_chunks + (o * chunks + chunk) * inner + j, columns, tree.row());
      tree.add();
    }
    tree.finish(sums + o * inner + j);
  });
}

template <class T>
void sum_along(const T* x, std::int64_t outer, std::int64_t along, std::int64_t inner, T* sums) {
  constexpr std::int64_t kTall = 4096, kMostParts = 16;
  if (inner == 1) {
    parallel_for(outer, least_for(along), [=](std::int64_t o, std::int64_t end) {
      for (; o < end; ++o) {
        sums[o] = sum_terms<T>(along, [from = x + o * along](std::int64_t j) { return from[j]; });
      }
    });
  } else if (along >= kTall && outer * inner <= kMostParts * kColumns) {
    sum_chunks(x, outer, along, inner, sums);
  } else {
    for_each_columns(
        outer, inner, along, [=](std::int64_t o, std::int64_t j, std::int64_t columns) {
          sum_rows(x + o * along * inner + j, along, columns, inner, sums + o * inner + j);
        });
  }
}

}  // namespace

void add_into(Tensor& total, const Tensor& term) {
  check(total.shape() == term.shape(), "add_into", "shapes differ: {} and {}", total.shape(),
        term.shape());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, total.dtype(), "add_into", [&]<class T>(T) {
      T* sum = total.data<T>();
      const T* x = term.data<T>();
      parallel_for(total.numel(), 8192, [sum, x](std::int64_t i, std::int64_t end) {
        for (; i < end; ++i) sum[i] += x[i];
      });
    });
  };
  dispatch_device(total.device(), kAddIntoCuda, on_cpu, total, term);
}

void scale_into(Tensor& to, const Tensor& from, double factor) {
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, to.dtype(), "scale_into", [&]<class T>(T) {
      const T scale = static_cast<T>(factor);
      const T* x = from.data<T>();
      T* y = to.data<T>();
      for (std::int64_t i = 0; i < from.numel(); ++i) y[i] = x[i] * scale;
    });
  };
  dispatch_device(to.device(), kScaleIntoCuda, on_cpu, to, from, factor);
}

void clear_rows(Tensor& x, std::span<const std::int64_t> rows) {
  if (rows.empty()) return;
  const std::size_t row_bytes = x.nbytes() / static_cast<std::size_t>(x.dim(0));
  Traffic::add_filled(rows.size() * row_bytes);
  const auto on_cpu = [&] {
    std::byte* const first = x.raw_data();
    for (const std::int64_t row : rows) {
      std::memset(first + static_cast<std::size_t>(row) * row_bytes, 0, row_bytes);
    }
  };
  dispatch_device(x.device(), kClearRowsCuda, on_cpu, x, rows);
}

Tensor sum_to(const char* name, const Tensor& x, const Shape& shape) {
  if (shape == x.shape()) return x;
  Tensor sums = Tensor::empty(shape, x.dtype(), x.device());
  sum_into(name, x, sums);
  return sums;
}

// One dimension after another, the outermost first, and never two as one: what pads the inner of
// them must not move a term to another block.
void sum_into(const char* name, const Tensor& x, Tensor& sums) {
  const Shape& shape = sums.shape();
  check(can_broadcast(shape, x.shape()), name, "{} was not broadcast to {}", shape, x.shape());
  const auto is_summed = [&](int axis) {
    const int target = axis - (x.rank() - shape.rank());
    return target < 0 || (shape[target] == 1 && x.shape()[axis] != 1);
  };
  int last = x.rank() - 1;
  while (last >= 0 && !is_summed(last)) --last;
  if (last < 0) return sums.copy_from(x.reshape(shape));
  Tensor terms = x;
  for (int axis = 0; axis <= last; ++axis) {
    if (!is_summed(axis)) continue;
    const Shape before = terms.shape().slice(0, axis), along = {x.shape()[axis]},
                after = terms.shape().slice(axis + 1, x.rank());
    const Shape summed = terms.shape().with_dim(axis, 1);
    Tensor to = axis == last ? sums.reshape(summed) : Tensor::empty(summed, x.dtype(), x.device());
    const auto on_cpu = [&] {
      dispatch_dtype(FloatingTypes{}, x.dtype(), name, [&]<class T>(T) {
        sum_along(std::as_const(terms).data<T>(), before.numel(), along.numel(), after.numel(),
                  to.data<T>());
      });
    };
    dispatch_device(x.device(), name, kSumAlongCuda, on_cpu, std::as_const(terms), before.numel(),
                    along.numel(), after.numel(), to);
    terms = to;
  }
}

}  // namespace maskgrad
