// Rows of a tensor moved as they are, and places filled, whatever the dtype. Internal to src/ops.
#pragma once

#include <span>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// Which rows a list names. The others are 0, 1, ... in the other tensor.
enum class RowList : std::uint8_t {
  kSources,  // to[i] = from[rows[i]]; 0 where that is below 0
  kTargets,  // to[rows[i]] = from[i]
};
/// Moves rows of so many elements.
using RowKernel = CudaKernel<void(RowList which, std::span<const std::int64_t> rows,
                                  std::int64_t columns, const Tensor& from, Tensor& to)>;
/// The operations that move rows, and the name that errors have.
inline constinit RowKernel kBooleanMaskCuda{"boolean_mask"}, kBooleanUnmaskCuda{"boolean_unmask"},
    kUnmaskFillCuda{"unmask_fill"}, kReversePackedSegsCuda{"reverse_packed_segs"},
    kReverseSegmentOrderCuda{"reverse_segment_order"}, kIndexSelectCuda{"index_select"},
    kGatherCuda{"gather"};

/// y[i] = x[from[i]] along the first dimension. x [N, ...] -> [from.size(), ...]. The places are
/// not checked. Throws Error "[name] has no CUDA kernel", as do the next two.
Tensor take_rows(const RowKernel& op, const Tensor& x, std::span<const std::int64_t> from);

/// y[to[i]] = x[i], and `fill` in the rows that no i names. x [K, ...] -> [rows, ...].
Tensor put_rows(const RowKernel& op, const Tensor& x, std::span<const std::int64_t> to,
                std::int64_t rows, Scalar fill);

/// y[to[i]] = x[i]; other rows of y stay as they are.
void place_rows(const RowKernel& op, const Tensor& x, std::span<const std::int64_t> to, Tensor& y);

/// Where a bool [N] on the host is true, as int64 [K].
Tensor true_places(const Tensor& mask);

}  // namespace maskgrad::ops
