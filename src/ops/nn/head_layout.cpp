#include <array>

#include <maskgrad/ops/nn/head_layout.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad::ops {
namespace {

constexpr std::array<std::int64_t, 4> kSwapped = {0, 2, 1, 3};

}  // namespace

Tensor split_heads(const Tensor& x, const Heads& heads) {
  if (x.rank() == 4 || heads.heads == 1) return x.reshape(heads.shape());
  return permuted(x.reshape(Shape{heads.batch, heads.rows, heads.heads, heads.features}), kSwapped);
}

Tensor join_heads(const Tensor& x, const Shape& shape) {
  if (shape.rank() == 4 || x.dim(1) == 1) return x.reshape(shape);
  return permuted(x, kSwapped).reshape(shape);
}

}  // namespace maskgrad::ops
