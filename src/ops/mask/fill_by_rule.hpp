// Masks by rule: rows of attention scores filled where a function of (row, column) says so.
// Follows Caffe2's SequenceMask (caffe2/operators/boolean_mask_ops.cc). Its functors are types
// here, and users can add their own.
#pragma once

#include <algorithm>
#include <concepts>
#include <limits>
#include <optional>
#include <string_view>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// Says which places (row i, column j) of a matrix are filled. A user may write one:
///   struct Checkers {
///     constexpr bool fills(std::int64_t i, std::int64_t j) const { return (i + j) % 2; }
///   };
/// It gets a CUDA kernel by one line in a `.cu` file; see <maskgrad/ops/cuda/decisions.hpp>.
template <class F>
concept MaskFunctor = requires(const F& f, std::int64_t row, std::int64_t column) {
  { f.fills(row, column) } -> std::same_as<bool>;
};

/// Fills j >= lengths[i].
struct Sequence {
  Tensor lengths;  // int64 [rows], on the host
  bool fills(std::int64_t i, std::int64_t j) const {
    return fills_behind(lengths.data<std::int64_t>()[i], j);
  }
  static constexpr bool fills_behind(std::int64_t length, std::int64_t j) { return j >= length; }
};
/// Fills j < centers[i] - radius and j > centers[i] + radius; everything for a negative radius.
struct Window {
  Tensor centers;  // int64 [rows], on the host
  std::int64_t radius;
  bool fills(std::int64_t i, std::int64_t j) const {
    return fills_around(centers.data<std::int64_t>()[i], radius, j);
  }
  static constexpr bool fills_around(std::int64_t center, std::int64_t radius, std::int64_t j) {
    // Apart by up to 2^64 - 1.
    const auto low = static_cast<std::uint64_t>(std::min(center, j)),
               high = static_cast<std::uint64_t>(std::max(center, j));
    return radius < 0 || high - low > static_cast<std::uint64_t>(radius);
  }
};
/// Fills j > i.
struct Upper {
  constexpr bool fills(std::int64_t i, std::int64_t j) const { return j > i; }
};
/// Fills j < i.
struct Lower {
  constexpr bool fills(std::int64_t i, std::int64_t j) const { return j < i; }
};
/// Fills j >= i.
struct UpperDiagonal {
  constexpr bool fills(std::int64_t i, std::int64_t j) const { return j >= i; }
};
/// Fills j <= i.
struct LowerDiagonal {
  constexpr bool fills(std::int64_t i, std::int64_t j) const { return j <= i; }
};

/// A tensor seen as [batches, rows, columns, repeated]. The dimensions before `axis` are rows, and
/// those from `axis` on are columns. With `batch` = b the dimensions 0 .. b are batches, and rows
/// are counted within a batch. With `repeat_from` = r the dimensions from r on share one decision.
struct MaskLayout {
  std::int64_t batches = 1, rows = 1, columns = 1, repeated = 1;
};
/// The layout of a tensor of this shape. Negative axes count from the end. Throws Error "[name]
/// ..." for an axis out of range, for batch >= axis, for repeat_from <= axis, and when both batch
/// and repeat_from are given.
MaskLayout mask_layout(const char* name, const Shape& shape, std::int64_t axis,
                       std::optional<std::int64_t> batch = {},
                       std::optional<std::int64_t> repeat_from = {});

/// y = value where `filled`, bool [rows, columns] of the layout, is true; x elsewhere.
inline constinit CudaKernel<void(const Tensor& x, const Tensor& filled, const MaskLayout& layout,
                                 Scalar value, Tensor& y)>
    kFillDecidedCuda{"sequence_mask"};

/// Throws Error unless `of_rows` is int64 [rows].
void check_row_numbers(const Tensor& of_rows, const MaskLayout& layout);

/// y = fill_value where `filled` is true, x elsewhere; dx = 0 where filled, g elsewhere. The
/// elements of x at filled places are never read. x is floating; filled is bool [rows, columns] of
/// the layout, on the host or where x is. Throws Error when `filled` does not fit the layout, when
/// the layout does not fit x, and when fill_value does not fit x's dtype (see Scalar).
Variable fill_by_rows(const Variable& x, const Tensor& filled, const MaskLayout& layout,
                      Scalar fill_value);

/// filled[i, j] = functor.fills(i, j), on the device.
template <MaskFunctor F>
inline constinit CudaKernel<void(const F& functor, Tensor& filled)> kDecisionsCuda{"sequence_mask"};

/// What a functor decides for x: bool [rows, columns] of the layout, where x is, true where it
/// fills. Throws Error for a Sequence or a Window whose numbers are not int64 [rows].
template <MaskFunctor F>
Tensor decisions(const Variable& x, const F& functor, const MaskLayout& layout) {
  check_given(x.defined(), "sequence_mask", "input 'input'");
  if constexpr (std::same_as<F, Sequence>) check_row_numbers(functor.lengths, layout);
  if constexpr (std::same_as<F, Window>) check_row_numbers(functor.centers, layout);
  Tensor filled = Tensor::empty({layout.rows, layout.columns}, DType::kBool, x.device());
  const auto on_cpu = [&] {
    bool* place = filled.data<bool>();
    for (std::int64_t i = 0; i < layout.rows; ++i) {
      for (std::int64_t j = 0; j < layout.columns; ++j) *place++ = functor.fills(i, j);
    }
  };
  dispatch_device(x.device(), kDecisionsCuda<F>, on_cpu, functor, filled);
  return filled;
}

/// fill_by_rows() with the decisions of a functor. Throws Error as these two.
template <MaskFunctor F>
Variable fill_where(const Variable& x, const F& functor, const MaskLayout& layout,
                    Scalar fill_value = -std::numeric_limits<double>::infinity()) {
  return fill_by_rows(x, decisions(x, functor, layout), layout, fill_value);
}

/// The layout of x (see MaskLayout), and what is written.
struct SequenceMaskOptions {
  std::int64_t axis = 1;
  std::optional<std::int64_t> batch = {};
  std::optional<std::int64_t> repeat_from_axis = {};  // mode "sequence" only
  std::int64_t radius = 10;                           // mode "window" only; at least 0
  Scalar fill_value = -std::numeric_limits<double>::infinity();
};

/// fill_where() with a functor by name: mode "sequence" (with lengths), "window" (with centers),
/// "upper", "lower", "upperdiag", "lowerdiag". x [...] floating, lengths or centers int32 or int64
/// [rows] -> [...]. The mask of x is kept.
/// Throws Error for an unknown mode, and for lengths or centers that are missing, of another size,
/// or given to a mode that takes none. Throws Error for a negative radius in mode "window", for
/// repeat_from_axis in any mode but "sequence", for a fill_value that does not fit x's dtype, and
/// as mask_layout().
Variable sequence_mask(const Variable& x, std::string_view mode, const Tensor& lengths_or_centers,
                       const SequenceMaskOptions& options = {});

}  // namespace maskgrad::ops
