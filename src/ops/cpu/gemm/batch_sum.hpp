// Sums of many groups of terms, on several threads. Internal to src/ops.
#pragma once

#include <algorithm>
#include <cstdint>

#include <maskgrad/ops/cpu/gemm/block_product.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/pairwise_sum.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// So many sums are few: too few for threads to share them otherwise than by groups.
inline constexpr std::int64_t kFewSums = 1024;

/// Writes `size` sums: sum_group(group, to) writes those of one group. `work`: of all, as for
/// least_for(). Threads share the groups.
template <class T, class F>
void sum_groups(const BatchSum& sum, std::int64_t work, std::int64_t size, T* sums, F sum_group) {
  constexpr std::int64_t kMostParts = 32;  // whose sums take little memory
  const std::int64_t groups = sum.groups();
  if (groups == 1) return sum_group(sum.group(0), sums);
  const std::int64_t of_part = power_of_two((groups + kMostParts - 1) / kMostParts);
  const std::int64_t parts = (groups + of_part - 1) / of_part;
  Tensor partial = Tensor::empty({parts, size}, dtype_of<T>);
  T* const partials = partial.data<T>();
  const auto sum_part = [&](std::int64_t part) {
    if (of_part == 1) return sum_group(sum.group(part), partials + part * size);
    PairwiseSum<T> tree(size);
    for (std::int64_t i = 0; i < of_part; ++i) {
      const BatchSum::Group group = sum.group(part * of_part + i);
      if (group.terms.length() == 0) continue;
      sum_group(group, tree.row());
      tree.add(i);
    }
    tree.finish(partials + part * size);
  };
  parallel_for(parts, least_for(work / std::max<std::int64_t>(1, parts)),
               [&](std::int64_t part, std::int64_t end) {
                 for (; part < end; ++part) sum_part(part);
               });
  for (std::int64_t step = 1; step < parts; step *= 2) {
    for (std::int64_t part = 0; part + step < parts; part += 2 * step) {
      add_row(partials + (part + step) * size, partials + part * size, size);
    }
  }
  if (parts == 0) std::fill_n(sums, size, T{});
  if (parts > 0) copy_row(partials, sums, size);
}

}  // namespace maskgrad::ops
