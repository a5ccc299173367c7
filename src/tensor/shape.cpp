#include <algorithm>

#include <maskgrad/tensor/shape.hpp>

namespace maskgrad {

Shape::Shape(std::span<const std::int64_t> dims) {
  check(dims.size() <= kMaxRank, "shape", "{} dimensions are more than the {} supported",
        dims.size(), kMaxRank);
  bool is_empty = false, overflows = false;
  for (const std::int64_t dim : dims) {
    check(dim >= 0, "shape", "dimensions must not be negative: {}", dim);
    dims_[static_cast<std::size_t>(rank_++)] = dim;
    is_empty |= dim == 0;
    if (dim > 0) overflows |= __builtin_mul_overflow(numel_, dim, &numel_);
  }
  check(!overflows && numel_ <= kMostElements, "shape",
        "the dimensions of {} multiply to more than 2^59{}", *this,
        is_empty ? ", the zeros left out" : "");
  if (is_empty) numel_ = 0;
}

int Shape::normalize(std::int64_t axis, const char* who) const {
  check(axis >= -rank_ && axis < rank_, who, "axis {} is out of range for {}", axis, *this);
  return static_cast<int>(axis < 0 ? axis + rank_ : axis);
}

Shape Shape::slice(int from, int to) const {
  check(0 <= from && from <= to && to <= rank_, "shape", "{} has no dimensions [{}, {})", *this,
        from, to);
  return Shape(dims().subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from)));
}

Shape Shape::with_dim(int axis, std::int64_t size) const {
  auto dims = dims_;
  dims[static_cast<std::size_t>(normalize(axis))] = size;
  return Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(rank_)));
}

Shape Shape::concat(const Shape& tail) const {
  check(rank_ + tail.rank_ <= kMaxRank, "shape", "{} and {} together have too many dimensions",
        *this, tail);
  auto dims = dims_;
  std::copy(tail.begin(), tail.end(), dims.begin() + rank_);
  return Shape(
      std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(rank_ + tail.rank_)));
}

bool Shape::starts_with(const Shape& head) const {
  return head.rank_ <= rank_ && std::equal(head.begin(), head.end(), begin());
}

bool operator==(const Shape& a, const Shape& b) {
  return a.rank_ == b.rank_ && std::equal(a.begin(), a.end(), b.begin());
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int axis = 0; axis < shape.rank(); ++axis) {
    text += fmt::format("{}{}", axis ? ", " : "", shape[axis]);
  }
  return text + (shape.rank() == 1 ? ",)" : ")");
}

Shape broadcast(const char* name, const Shape& a, const Shape& b) {
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  const int rank = std::max(a.rank(), b.rank());
  for (int axis = 1; axis <= rank; ++axis) {
    const std::int64_t da = axis <= a.rank() ? a[a.rank() - axis] : 1;
    const std::int64_t db = axis <= b.rank() ? b[b.rank() - axis] : 1;
    check(da == db || da == 1 || db == 1, name, "shapes do not broadcast: {} and {}", a, b);
    dims[static_cast<std::size_t>(rank - axis)] = da == 1 ? db : da;
  }
  return Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(rank)));
}

bool can_broadcast(const Shape& shape, const Shape& target) {
  if (shape.rank() > target.rank()) return false;
  for (int axis = 1; axis <= shape.rank(); ++axis) {
    const std::int64_t dim = shape[shape.rank() - axis];
    if (dim != 1 && dim != target[target.rank() - axis]) return false;
  }
  return true;
}

Shape infer_shape(const char* name, std::span<const std::int64_t> dims, std::int64_t numel) {
  const auto unknown = std::find(dims.begin(), dims.end(), -1);
  if (unknown == dims.end()) return Shape(dims);
  std::array<std::int64_t, Shape::kMaxRank> known{};
  check(dims.size() <= known.size(), name, "{} dimensions are too many", dims.size());
  const bool once = std::count(dims.begin(), dims.end(), -1) == 1;
  std::replace_copy(dims.begin(), dims.end(), known.begin(), std::int64_t{-1}, std::int64_t{1});
  auto& inferred = known[static_cast<std::size_t>(unknown - dims.begin())];
  const std::span<const std::int64_t> all(known.data(), dims.size());
  const std::int64_t rest = Shape(all).numel();
  check(once && rest > 0 && numel % rest == 0, name,
        "-1 cannot be chosen so that the shape holds {} elements", numel);
  inferred = numel / rest;
  return Shape(all);
}

}  // namespace maskgrad
