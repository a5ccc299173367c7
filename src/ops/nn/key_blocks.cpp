#include <array>

#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad::ops {
namespace {

constexpr std::array<std::int64_t, 4> kSwapped = {0, 1, 3, 2};

// The first rows of each x [B, T, F] as the first of [B, rows, F]; 0 where x has fewer.
Tensor with_rows(const Tensor& x, std::int64_t rows) {
  const Shape shape = x.shape().with_dim(1, rows);
  Tensor y = Tensor::zeros(shape, x.dtype(), x.device());
  const Shape copied = {std::min(rows, x.dim(1)), x.dim(2)};
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    Tensor to = y[b].view(0, copied);
    to.copy_from(x[b].view(0, copied));
  }
  return y;
}

}  // namespace

Tensor to_key_blocks(const Tensor& keys) {
  const Shape shape = shape_of_key_blocks(keys.shape());
  if (keys.device() == Device{}) {
    const Tensor whole = with_rows(keys, shape[1] * kKeysOfBlock);
    return permuted(whole.reshape({shape[0], shape[1], kKeysOfBlock, shape[2]}), kSwapped);
  }
  Tensor blocks = Tensor::empty(shape, keys.dtype(), keys.device());
  dispatch_device(
      keys.device(), kToKeyBlocksCuda, [] {}, keys, blocks);
  return blocks;
}

Tensor from_key_blocks(const Tensor& blocks, std::int64_t keys) {
  const Shape shape = {blocks.dim(0), keys, blocks.dim(2)};
  if (blocks.device() == Device{}) {
    const Tensor whole = permuted(blocks, kSwapped);
    return with_rows(whole.reshape(shape.with_dim(1, blocks.dim(1) * kKeysOfBlock)), keys);
  }
  Tensor rows = Tensor::empty(shape, blocks.dtype(), blocks.device());
  dispatch_device(
      blocks.device(), kFromKeyBlocksCuda, [] {}, blocks, rows);
  return rows;
}

}  // namespace maskgrad::ops
