// Sums over the samples of a batch, in parts that threads compute side by side. Internal to
// src/ops.
#pragma once

#include <algorithm>
#include <cstdint>

#include <maskgrad/ops/gemm.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// So many sums are few: too few for threads to share them otherwise than by samples.
inline constexpr std::int64_t kSmallSum = 1024;

/// Into how many chunks `samples` are cut: one up to 16 of them, else an even number, so that two
/// threads share them, and at most 24, so that their sums take little memory. From samples alone:
/// what pads them must not change the order of a sum.
constexpr std::int64_t chunks_of_samples(std::int64_t samples) {
  if (samples <= 16) return 1;
  return std::min<std::int64_t>(24, 2 * ((samples + 31) / 32));
}

/// Writes `size` sums: sum_chunk(first, last, partial) writes those of samples [first, last), on
/// several threads; the chunks' are then added in order. `work`: of all samples, as for
/// least_for().
template <class T, class F>
void sum_over_samples(std::int64_t samples, std::int64_t work, std::int64_t size, T* sums,
                      F sum_chunk) {
  const std::int64_t chunks = chunks_of_samples(samples);
  Tensor partial = Tensor::empty({chunks, size}, dtype_of<T>);
  T* const partials = partial.data<T>();
  parallel_for(chunks, least_for(work / chunks), [&](std::int64_t c, std::int64_t end) {
    for (; c < end; ++c) {
      sum_chunk(c * samples / chunks, (c + 1) * samples / chunks, partials + c * size);
    }
  });
  sum_rows(partials, chunks, size, sums);
}

}  // namespace maskgrad::ops
