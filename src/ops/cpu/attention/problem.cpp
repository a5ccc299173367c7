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

AttentionProblem AttentionProblem::of(const Heads& q, const Heads& k, const Heads& v, DType dtype,
                                      const Shape& output, const AttentionPlan& plan,
                                      const AttentionOptions& options) {
  return {.batch = q.batch,
          .heads = q.heads,
          .key_heads = k.heads,
          .queries = q.rows,
          .keys = k.rows,
          .features = q.features,
          .value_features = v.features,
          .q = q.layout,
          .k = k.layout,
          .v = v.layout,
          .output = Heads::of(output, q.heads).layout,
          .dtype = dtype,
          .scale = attention_scale(options, q.features),
          .softcap = options.softcap,
          .dropout = options.dropout,
          .random = options.random,
          .mask = plan.pairs(),
          .tiles = tiles_of(plan),
          .bias = options.bias.value(),
          .bias_stride = options.bias.defined() ? strides_of(options.bias.shape())
                                                : std::array<std::int64_t, 4>{}};
}

void make_outputs(const AttentionProblem& p, const Shape& output, AttentionValues& values) {
  const Device device = values.q.device();
  values.output = Tensor::empty(output, p.dtype, device);
  values.top = Tensor::empty({p.batch, p.heads, p.queries}, p.dtype, device);
  values.inverse_sum = Tensor::empty({p.batch, p.heads, p.queries}, p.dtype, device);
}

}  // namespace maskgrad::ops
