// The order of sums is that of norm_rows.hpp and of RowBlocks.
#include <maskgrad/ops/cuda/kept_positions.hpp>
#include <maskgrad/ops/cuda/row_threads.hpp>
#include <maskgrad/ops/functors/norm_rules.hpp>
#include <maskgrad/ops/nn/norm_kernels.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>

namespace maskgrad::ops {
namespace {

// KeptOfNorm in a kernel.
struct Kept {
  KeptPositions positions;
  const bool* elements;

  __device__ bool element(std::int64_t i) const { return !elements || elements[i]; }
};

// How many elements of a row count, at least 1.
template <class Row>
__device__ double count_kept(const Row& row, const Kept& keep, std::int64_t at) {
  if (!keep.elements) return row.length > 0 ? static_cast<double>(row.length) : 1;
  const auto count = row_sum<std::int64_t>(
      row, [=](std::int64_t j) { return std::int64_t{keep.elements[at + j]}; });
  return count > 0 ? static_cast<double>(count) : 1;
}

template <class Row, class T>
__global__ void norm_kernel(std::int64_t rows, std::int64_t n, const T* __restrict__ x, Kept keep,
                            const T* __restrict__ weight, const T* __restrict__ bias, double eps,
                            T* __restrict__ y, double* __restrict__ statistics) {
  const Row row(rows, n);
  const std::int64_t at = row.index * n;
  const bool has_row = row.exists() && keep.positions[row.index];
  const Row kept = row.first(has_row ? n : 0);
  const double count = count_kept(kept, keep, at);
  const double mean =
      row_sum<double>(kept,
                      [=](std::int64_t j) {
                        return keep.element(at + j) ? static_cast<double>(x[at + j]) : 0;
                      }) /
      count;
  const auto centered = [=](std::int64_t j) {
    return keep.element(at + j) ? static_cast<double>(x[at + j]) - mean : 0;
  };
  const double variance = row_dot<double>(kept, centered, centered) / count;
  const functors::Normalise normalise{mean, 1 / std::sqrt(variance + eps)};
  row.for_each([=](std::int64_t j) {
    const bool counts = has_row && keep.element(at + j);
    y[at + j] = counts ? math::multiply_add(normalise(x[at + j]), weight[j], bias[j]) : T{0};
  });
  if (!row.is_first()) return;
  statistics[2 * row.index] = has_row ? mean : 0;
  statistics[2 * row.index + 1] = has_row ? normalise.rstd : 0;
}

template <class Row, class T>
__global__ void input_gradient_kernel(std::int64_t rows, std::int64_t n, const T* __restrict__ g,
                                      const T* __restrict__ x,
                                      const double* __restrict__ statistics,
                                      const T* __restrict__ weight, Kept keep, T* __restrict__ dx) {
  const Row row(rows, n);
  const std::int64_t at = row.index * n;
  const bool has_row = row.exists() && keep.positions[row.index];
  const Row kept = row.first(has_row ? n : 0);
  const auto of_row = [=](int i) { return has_row ? statistics[2 * row.index + i] : 0; };
  const functors::Normalise normalise{of_row(0), of_row(1)};
  const auto xhat = [=](std::int64_t j) { return static_cast<double>(normalise(x[at + j])); };
  const auto weighted = [=](std::int64_t j) {
    if (!keep.element(at + j)) return 0.0;
    return math::product(static_cast<double>(weight[j]), static_cast<double>(g[at + j]));
  };
  const double count = count_kept(kept, keep, at);
  const double sum = row_sum<double>(kept, weighted);
  const double dot = row_dot<double>(
      kept, weighted, [=](std::int64_t j) { return keep.element(at + j) ? xhat(j) : 0; });
  const functors::WeightedNormGradient<double> rule{-sum / count, -dot / count, normalise.rstd};
  row.for_each([=](std::int64_t j) {
    const bool counts = has_row && keep.element(at + j);
    dx[at + j] = counts ? static_cast<T>(rule(static_cast<double>(weight[j]),
                                              static_cast<double>(g[at + j]), xhat(j)))
                        : T{0};
  });
}

// How the rows are added, as RowBlocks says.
struct Blocks {
  std::int64_t along, positions, features, count;
};

// A thread for the rows of a block at one position, in one feature: of_weight and of_bias [blocks,
// positions, features], each null where nobody asks.
template <class T>
__global__ void sum_blocks_kernel(Blocks blocks, const T* __restrict__ g, const T* __restrict__ x,
                                  const double* __restrict__ statistics, Kept keep,
                                  T* __restrict__ of_weight, T* __restrict__ of_bias) {
  const std::int64_t i = cuda::thread_number();
  if (i >= blocks.count * blocks.positions * blocks.features) return;
  const std::int64_t feature = i % blocks.features, part = i / blocks.features,
                     first = part / blocks.positions * kRowsOfBlock;
  T dweight = 0, dbias = 0;
  for (std::int64_t k = first; k < first + kRowsOfBlock && k < blocks.along; ++k) {
    const std::int64_t row = k * blocks.positions + part % blocks.positions,
                       at = row * blocks.features + feature;
    if (!keep.positions[row] || !keep.element(at)) continue;
    const functors::Normalise normalise{statistics[2 * row], statistics[2 * row + 1]};
    dweight = math::multiply_add(g[at], normalise(x[at]), dweight);
    dbias += g[at];
  }
  if (of_weight) of_weight[i] = dweight;
  if (of_bias) of_bias[i] = dbias;
}

// Adds `count` rows that are `stride` apart in a balanced tree, kRowsOfBlock of them: a thread for
// such a branch of the tree in one column. The sum replaces the first row.
template <class T>
__global__ void add_branches_kernel(T* x, std::int64_t count, std::int64_t size,
                                    std::int64_t stride) {
  const std::int64_t i = cuda::thread_number(), first = i / size * kRowsOfBlock * stride;
  if (first >= count) return;
  T* const from = x + first * size + i % size;
  for (std::int64_t by = stride; by < kRowsOfBlock * stride; by *= 2) {
    for (std::int64_t k = 0; k < kRowsOfBlock * stride && first + k + by < count; k += 2 * by) {
      from[k * size] += from[(k + by) * size];
    }
  }
}

template <class T>
void finish(const RowBlocks& rows, Tensor& of_blocks, Tensor& sums) {
  const std::int64_t size = rows.positions * rows.features;
  for (std::int64_t stride = 1; stride < rows.count(); stride *= kRowsOfBlock) {
    const std::int64_t of_branch = kRowsOfBlock * stride,
                       branches = (rows.count() + of_branch - 1) / of_branch;
    cuda::launch({"layer_norm", cuda::blocks_for(branches * size), cuda::kThreads},
                 add_branches_kernel<T>, of_blocks.device_data<T>(), rows.count(), size, stride);
  }
  sum_into("layer_norm", of_blocks.view(0, rows.left), sums);
}

template <class T>
void sum_parameters(LayerNormGradient& call, const Kept& keep) {
  const Tensor& x = call.x;
  const RowBlocks rows(x.shape());
  if (rows.count() == 0) {
    if (call.dweight.defined()) call.dweight.fill(0.0);
    if (call.dbias.defined()) call.dbias.fill(0.0);
    return;
  }
  const Shape shape = {rows.count(), rows.positions, rows.features};
  const auto blocks_of = [&](const Tensor& sums) {
    return sums.defined() ? Tensor::empty(shape, x.dtype(), x.device()) : Tensor();
  };
  const auto data = [](Tensor& of_blocks) {
    return of_blocks.defined() ? of_blocks.device_data<T>() : nullptr;
  };
  Tensor of_weight = blocks_of(call.dweight), of_bias = blocks_of(call.dbias);
  cuda::launch({"layer_norm", cuda::blocks_for(shape.numel()), cuda::kThreads},
               sum_blocks_kernel<T>,
               Blocks{rows.along, rows.positions, rows.features, rows.count()},
               call.g.device_data<T>(), x.device_data<T>(), call.statistics.device_data<double>(),
               keep, data(of_weight), data(of_bias));
  if (call.dweight.defined()) finish<T>(rows, of_weight, call.dweight);
  if (call.dbias.defined()) finish<T>(rows, of_bias, call.dbias);
}

Kept kept_there(const KeptOfNorm& kept, const Tensor& x) {
  const Tensor& elements = kept.elements_there();
  return {KeptPositions::of_rows(kept.mask(), x),
          elements.defined() ? elements.device_data<bool>() : nullptr};
}

void normalise(const Tensor& x, const KeptOfNorm& kept, const Tensor& weight, const Tensor& bias,
               double eps, LayerNormOutput& output) {
  const Kept keep = kept_there(kept, x);
  dispatch_dtype(FloatingTypes{}, x.dtype(), "layer_norm", [&]<class T>(T) {
    launch_rows("layer_norm", x.shape(), norm_kernel<ShortRow, T>, norm_kernel<LongRow, T>,
                x.device_data<T>(), keep, weight.device_data<T>(), bias.device_data<T>(), eps,
                output.y.device_data<T>(), output.statistics.device_data<double>());
  });
}

void set_gradients(LayerNormGradient& call) {
  const Kept keep = kept_there(call.kept, call.x);
  dispatch_dtype(FloatingTypes{}, call.x.dtype(), "layer_norm", [&]<class T>(T) {
    if (call.dx.defined()) {
      launch_rows("layer_norm", call.x.shape(), input_gradient_kernel<ShortRow, T>,
                  input_gradient_kernel<LongRow, T>, call.g.device_data<T>(),
                  call.x.device_data<T>(), call.statistics.device_data<double>(),
                  call.weight.device_data<T>(), keep, call.dx.device_data<T>());
    }
    if (call.dweight.defined() || call.dbias.defined()) sum_parameters<T>(call, keep);
  });
}

const bool kFilled = kLayerNormCuda.forward.fill(normalise) &&
                     kLayerNormCuda.gradient.fill(set_gradients) &&
                     kMaskedLayerNormCuda.forward.fill(normalise) &&
                     kMaskedLayerNormCuda.gradient.fill(set_gradients);

}  // namespace
}  // namespace maskgrad::ops
