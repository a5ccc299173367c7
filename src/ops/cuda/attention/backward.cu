// Attention's gradients: of queries by tiles of them, of keys and values by tiles of those.
#include <maskgrad/ops/cuda/attention/backward_keys.hpp>
#include <maskgrad/ops/cuda/attention/backward_queries.hpp>
#include <maskgrad/ops/cuda/attention/bias.hpp>
#include <maskgrad/ops/cuda/attention/row_dot.hpp>

namespace maskgrad::ops::attention {
namespace {

template <class S, bool kLong>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks)
    query_kernel(const __grid_constant__ Backward<typename S::T> f) {
  using Memory = QueryGradientMemory<S>;
  MASKGRAD_SHARED(Memory, memory, );
  QueryGradient<S, kLong>(f, memory).run();
}

template <class S, bool kLong>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks)
    key_kernel(const __grid_constant__ Backward<typename S::T> f) {
  using Memory = KeyGradientMemory<S>;
  MASKGRAD_SHARED(Memory, memory, );
  KeyGradient<S, kLong>(f, memory).run();
}

// delta = factor g . output of each query. Rows are [B, H, S].
template <class T>
struct Delta {
  HeadLayout layout;
  const T *grad_output, *output;
  T factor;
  T* delta;
  std::int64_t rows, heads, queries;
  int features, lanes;
};

// Some lanes share a row.
template <class T>
__global__ void delta_kernel(Delta<T> f) {
  const std::int64_t row = cuda::thread_number() / f.lanes, head = row / f.queries;
  const bool exists = row < f.rows;
  const std::int64_t at = exists ? f.layout.at(head / f.heads, head % f.heads, row % f.queries) : 0;
  const T sum = dot_of_lanes(f.grad_output + at, f.output + at, exists ? f.features : 0, f.lanes);
  if (exists && static_cast<int>(threadIdx.x) % f.lanes == 0) f.delta[row] = f.factor * sum;
}

template <class T>
Tensor delta_of(const AttentionProblem& p, const AttentionValues& values, const Tensor& grad_output,
                int lanes) {
  if (p.value_features > kOfRowBlock) lanes = kLanesOfRow;
  Tensor delta = Tensor::empty(values.top.shape(), p.dtype, grad_output.device());
  const std::int64_t rows = delta.numel();
  const Delta<T> f = {.layout = p.output,
                      .grad_output = grad_output.device_data<T>(),
                      .output = values.output.device_data<T>(),
                      .factor = factor_of<T>(p),
                      .delta = delta.device_data<T>(),
                      .rows = rows,
                      .heads = p.heads,
                      .queries = p.queries,
                      .features = static_cast<int>(p.value_features),
                      .lanes = lanes};
  cuda::launch({"attention", cuda::blocks_for(rows * lanes), cuda::kThreads}, delta_kernel<T>, f);
  return delta;
}

template <class S, bool kLong>
void launch_gradients(const AttentionProblem& p, Backward<typename S::T> f, Device device) {
  using OfQueries = QueryGradient<S, kLong>;
  using OfKeys = KeyGradient<S, kLong>;
  const std::int64_t features = std::max(p.features, p.value_features);
  launch_parts<S>(
      {pieces(p.queries, S::kLeft), p.batch * p.heads, parts_of<S>(p.features)}, features,
      OfQueries::Sums::memory(pieces(p.keys, AttentionTiles::kKeysOfGroup), S::kThreads), device,
      query_kernel<S, kLong>, f);
  f.groups_of_head = static_cast<int>(OfKeys::groups_of_head(p.queries));
  launch_parts<S>({pieces(p.keys, S::kLeft), p.batch * p.key_heads, parts_of<S>(features)},
                  features, OfKeys::Sums::memory(OfKeys::groups(p), S::kThreads), device,
                  key_kernel<S, kLong>, f);
}

void gradients_on_device(const AttentionProblem& p, const AttentionValues& values, int lanes,
                         const Tensor& grad_output, AttentionGradients& gradients) {
  const Device device = grad_output.device();
  const ProblemOnDevice on(p, device);
  const bool has_bias = gradients.bias.defined() && gradients.bias.numel() > 0;
  const bool shares_bias =
      has_bias && gradients.bias.numel() < p.batch * p.heads * p.queries * p.keys;
  with_shape(p, [&]<class S, bool kLong>(S, std::bool_constant<kLong>) {
    using T = typename S::T;
    const Tensor delta = delta_of<T>(p, values, grad_output, lanes);
    Backward<T> f = backward_of<T>(on, values, delta, grad_output);
    f.dq = gradients.q.device_data<T>();
    f.dk = gradients.k.device_data<T>();
    f.dv = gradients.v.device_data<T>();
    f.call.packs = f.call.packs && stand_in_packs<T>({{f.dq, p.q, p.features},
                                                      {f.dk, p.k, p.features},
                                                      {f.dv, p.v, p.value_features}});
    if (has_bias && !shares_bias) f.dbias = gradients.bias.device_data<T>();
    launch_gradients<S, kLong>(p, f, device);
    if (shares_bias) sum_bias_gradient(on, values, delta, grad_output, gradients.bias);
  });
}

const bool kFilled = kFusedAttentionGradientsCuda.fill(gradients_on_device);

}  // namespace
}  // namespace maskgrad::ops::attention
