// The sizes of a tensor's dimensions, held in place (no allocation).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

/// A list of up to kMaxRank non-negative dimensions, outermost first. An empty list is a scalar.
/// The product of the dimensions that are not 0 is at most kMostElements. So the product of any
/// dimensions fits int64 in every order of multiplication, and so does 15 times that product.
class Shape {
 public:
  static constexpr int kMaxRank = 8;
  static constexpr std::int64_t kMostElements = std::int64_t{1} << 59;

  Shape() = default;
  /// Throws Error for more than kMaxRank dimensions, a negative one, or too large ones.
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  /// The product of all dimensions; 1 for a scalar.
  std::int64_t numel() const { return numel_; }
  /// Dimension `axis`; a negative axis counts from the end. Throws Error out of range.
  std::int64_t dim(int axis) const { return dims_[static_cast<std::size_t>(normalize(axis))]; }
  /// Dimension `axis`, unchecked. Requires 0 <= axis < rank().
  std::int64_t operator[](int axis) const { return dims_[static_cast<std::size_t>(axis)]; }
  /// `axis` counted from the front. Throws Error "[<who>] axis 2 is out of range for (4, 3)" unless
  /// -rank <= axis < rank.
  int normalize(std::int64_t axis, const char* who = "shape") const;

  std::span<const std::int64_t> dims() const {
    return {dims_.data(), static_cast<std::size_t>(rank_)};
  }
  auto begin() const { return dims().begin(); }
  auto end() const { return dims().end(); }

  /// The dimensions [from, to), as a shape. Throws Error unless 0 <= from <= to <= rank.
  Shape slice(int from, int to) const;
  /// This shape with dimension `axis` replaced; a negative axis counts from the end. Throws Error
  /// for an axis out of range, and as the constructor.
  Shape with_dim(int axis, std::int64_t size) const;
  /// These dimensions followed by those of `tail`. Throws Error when they are more than kMaxRank,
  /// and as the constructor.
  Shape concat(const Shape& tail) const;
  bool starts_with(const Shape& head) const;

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  std::int64_t numel_ = 1;
  int rank_ = 0;
};

/// "(2, 20, 15)", "()" for a scalar.
std::string to_string(const Shape& shape);

/// The shape of a and b together by NumPy's rule: dimensions are aligned from the last one, and a
/// dimension of 1 is stretched to the other.
/// Throws Error "[name] shapes do not broadcast: (2, 3) and (4,)".
Shape broadcast(const char* name, const Shape& a, const Shape& b);

/// True when `shape` can be broadcast to `target`, stretching only `shape`.
bool can_broadcast(const Shape& shape, const Shape& target);

/// `dims` as a shape. A -1 is replaced by the size with which the shape holds `numel` elements.
/// Without a -1, `numel` is not looked at. Throws Error "[name] ..." for a second -1, and when the
/// product of the other dimensions is 0 or does not divide `numel`.
Shape infer_shape(const char* name, std::span<const std::int64_t> dims, std::int64_t numel);

}  // namespace maskgrad

// Not derived from the formatter of strings: that one needs <fmt/format.h> wherever it is used.
template <>
struct fmt::formatter<maskgrad::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const maskgrad::Shape& shape, Context& context) const {
    const std::string text = maskgrad::to_string(shape);
    return std::copy(text.begin(), text.end(), context.out());
  }
};
