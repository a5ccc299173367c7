#include <maskgrad/ops/cpu/attention/problem.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>

namespace maskgrad::ops {
namespace {

// How far apart neighbours stand in a tensor that broadcasts to [B, H, S, T].
std::array<std::int64_t, 4> strides_of(const Shape& shape) {
  std::array<std::int64_t, 4> strides{};
  std::int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    if (shape[axis] != 1) strides[static_cast<std::size_t>(axis + 4 - shape.rank())] = stride;
    stride *= shape[axis];
  }
  return strides;
}

}  // namespace

Tensor with_heads(const Tensor& x) {
  return x.rank() == 3 ? x.view(0, Shape{x.dim(0), 1, x.dim(1), x.dim(2)}) : x;
}

AttentionProblem AttentionProblem::of(const Tensor& q, const Tensor& k, const Tensor& v,
                                      const AttentionMask& mask, const AttentionOptions& options) {
  return {.batch = q.dim(0),
          .heads = q.dim(1),
          .key_heads = k.dim(1),
          .queries = q.dim(2),
          .keys = k.dim(2),
          .features = q.dim(3),
          .value_features = v.dim(3),
          .dtype = q.dtype(),
          .scale = attention_scale(options, q.dim(3)),
          .softcap = options.softcap,
          .dropout = options.dropout,
          .random = options.random,
          .mask = mask,
          .tiles = AttentionTiles(mask),
          .bias = options.bias.value(),
          .bias_stride = options.bias.defined() ? strides_of(options.bias.shape())
                                                : std::array<std::int64_t, 4>{}};
}

}  // namespace maskgrad::ops
