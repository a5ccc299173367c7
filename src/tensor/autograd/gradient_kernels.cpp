#include <algorithm>
#include <utility>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad {
namespace {

// x [outer, along, inner] -> sums [outer, inner].
template <class T>
void sum_along(const T* x, std::int64_t outer, std::int64_t along, std::int64_t inner, T* sums) {
  constexpr std::int64_t kColumns = 64;  // of a part: whole cache lines
  const std::int64_t parts = (inner + kColumns - 1) / kColumns;
  parallel_for(outer * parts, least_for(along, kColumns), [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) {
      const T* const from = x + i / parts * along * inner;
      T* const to = sums + i / parts * inner;
      if (inner == 1) {
        *to = sum_terms<T>(along, [from](std::int64_t j) { return from[j]; });
        continue;
      }
      const std::int64_t j = i % parts * kColumns;
      sum_rows(from + j, along, std::min(kColumns, inner - j), inner, to + j);
    }
  });
}

}  // namespace

void add_into(Tensor& total, const Tensor& term) {
  check(total.shape() == term.shape(), "add_into", "shapes differ: {} and {}", total.shape(),
        term.shape());
  dispatch_device(total.device(), "add_into", [&] {
    dispatch_dtype(FloatingTypes{}, total.dtype(), "add_into", [&]<class T>(T) {
      T* sum = total.data<T>();
      const T* x = term.data<T>();
      parallel_for(total.numel(), 8192, [sum, x](std::int64_t i, std::int64_t end) {
        for (; i < end; ++i) sum[i] += x[i];
      });
    });
  });
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
    dispatch_device(x.device(), name, [&] {
      dispatch_dtype(FloatingTypes{}, x.dtype(), name, [&]<class T>(T) {
        sum_along(std::as_const(terms).data<T>(), before.numel(), along.numel(), after.numel(),
                  to.data<T>());
      });
    });
    terms = to;
  }
}

}  // namespace maskgrad
