// Masks by rule: rows of attention scores filled where a function of (row, column) says so.
// Follows Caffe2's SequenceMask (caffe2/operators/boolean_mask_ops.cc), with its functors as values
// that users add to.
#pragma once

#include <algorithm>
#include <concepts>
#include <limits>
#include <optional>
#include <string_view>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Tells where a matrix is filled. A user's own:
///   struct Checkers { bool fills(std::int64_t i, std::int64_t j) const { return (i + j) % 2; } };
template <class F>
concept MaskFunctor = requires(const F& f, std::int64_t row, std::int64_t column) {
  { f.fills(row, column) } -> std::same_as<bool>;
};

/// Fills j >= lengths[i].
struct Sequence {
  Tensor lengths;  // int64 [rows]
  bool fills(std::int64_t i, std::int64_t j) const { return j >= lengths.data<std::int64_t>()[i]; }
};
/// Fills j < centers[i] - radius and j > centers[i] + radius; everything for a negative radius.
struct Window {
  Tensor centers;  // int64 [rows]
  std::int64_t radius;
  bool fills(std::int64_t i, std::int64_t j) const {
    // Apart by up to 2^64 - 1.
    const std::int64_t center = centers.data<std::int64_t>()[i];
    const auto low = static_cast<std::uint64_t>(std::min(center, j)),
               high = static_cast<std::uint64_t>(std::max(center, j));
    return radius < 0 || high - low > static_cast<std::uint64_t>(radius);
  }
};
/// Fills j > i, j < i, j >= i, j <= i.
struct Upper {
  bool fills(std::int64_t i, std::int64_t j) const { return j > i; }
};
struct Lower {
  bool fills(std::int64_t i, std::int64_t j) const { return j < i; }
};
struct UpperDiagonal {
  bool fills(std::int64_t i, std::int64_t j) const { return j >= i; }
};
struct LowerDiagonal {
  bool fills(std::int64_t i, std::int64_t j) const { return j <= i; }
};

/// A tensor seen as [batches, rows, columns, repeated]: the dimensions before `axis` are rows,
/// those from it on columns. With `batch` = b the dimensions 0..b are batches, and rows count
/// inside one. With `repeat_from` = r the dimensions from r on repeat one decision.
struct MaskLayout {
  std::int64_t batches = 1, rows = 1, columns = 1, repeated = 1;
};
/// Negative axes count from the end. Throws Error "[name] ..." for an axis out of range, batch >=
/// axis, repeat_from <= axis, and both of them given.
MaskLayout mask_layout(const char* name, const Shape& shape, std::int64_t axis,
                       std::optional<std::int64_t> batch = {},
                       std::optional<std::int64_t> repeat_from = {});

/// Throws Error unless `of_rows` is int64 [rows].
void check_row_numbers(const Tensor& of_rows, const MaskLayout& layout);

/// y = fill_value where `filled` is true, x elsewhere; dx = 0 where filled, g elsewhere. What
/// stands at filled places is never read. x floating; filled: bool [rows, columns] of the layout.
/// Throws Error when these or the layout do not fit x, or fill_value not its dtype (see Scalar).
Variable fill_by_rows(const Variable& x, const Tensor& filled, const MaskLayout& layout,
                      Scalar fill_value);

/// What a functor decides for x: bool [rows, columns] of the layout, true where it fills. Throws
/// Error for a Sequence or a Window that has another number of rows.
template <MaskFunctor F>
Tensor decisions(const Variable& x, const F& functor, const MaskLayout& layout) {
  check_given(x.defined(), "sequence_mask", "input 'input'");
  if constexpr (std::same_as<F, Sequence>) check_row_numbers(functor.lengths, layout);
  if constexpr (std::same_as<F, Window>) check_row_numbers(functor.centers, layout);
  Tensor filled = Tensor::empty({layout.rows, layout.columns}, DType::kBool, x.device());
  dispatch_device(x.device(), "sequence_mask", [&] {
    bool* place = filled.data<bool>();
    for (std::int64_t i = 0; i < layout.rows; ++i) {
      for (std::int64_t j = 0; j < layout.columns; ++j) *place++ = functor.fills(i, j);
    }
  });
  return filled;
}

/// fill_by_rows() where a functor fills.
template <MaskFunctor F>
Variable fill_where(const Variable& x, const F& functor, const MaskLayout& layout,
                    Scalar fill_value = -std::numeric_limits<double>::infinity()) {
  return fill_by_rows(x, decisions(x, functor, layout), layout, fill_value);
}

struct SequenceMaskOptions {
  std::int64_t axis = 1;
  std::optional<std::int64_t> batch = {};
  std::optional<std::int64_t> repeat_from_axis = {};  // mode "sequence" only
  std::int64_t radius = 10;                           // mode "window" only
  Scalar fill_value = -std::numeric_limits<double>::infinity();
};

/// The functors by name: mode "sequence" (with lengths), "window" (with centers), "upper", "lower",
/// "upperdiag", "lowerdiag". x [...] floating, lengths or centers int32 or int64 [rows] -> [...].
/// The mask of x is kept. Throws Error for an unknown mode, lengths or centers that are missing, of
/// another size, or given to a mode that has none, and as mask_layout.
Variable sequence_mask(const Variable& x, std::string_view mode, const Tensor& lengths_or_centers,
                       const SequenceMaskOptions& options = {});

}  // namespace maskgrad::ops
