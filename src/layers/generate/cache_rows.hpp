// How rows come into a cache of keys and values. Internal to src/layers.
#pragma once

#include <cstdint>
#include <span>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {

/// Row number `from` goes to where element `to` stands.
struct RowMove {
  std::int64_t from, to;
};

/// rows [B, S, F]; features stand `step` elements apart in `kept`.
inline constinit CudaKernel<void(std::span<const RowMove> moves, std::int64_t step,
                                 const Tensor& rows, Tensor& kept)>
    kPutRowsCuda{"cache"};

}  // namespace maskgrad
