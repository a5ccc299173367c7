#include <maskgrad/ops/cuda/kept_positions.hpp>
#include <maskgrad/ops/cuda/row_threads.hpp>
#include <maskgrad/ops/functors/norm_rules.hpp>
#include <maskgrad/ops/nn/norm_kernels.hpp>

namespace maskgrad::ops {
namespace {

// mean((factor x)^2) of a row of n
template <class Row, class T>
__device__ double mean_square(const Row& row, const T* x, std::int64_t n, double factor) {
  return row_sum<double>(row,
                         [=](std::int64_t j) {
                           const double scaled = factor * static_cast<double>(x[j]);
                           return math::product(scaled, scaled);
                         }) /
         static_cast<double>(n);
}

// As on the CPU. All threads of a warp take both ways where one of its rows needs the second.
template <class Row, class T>
__device__ double inverse_root_of(const Row& row, const T* x, std::int64_t n, double eps) {
  const double square = mean_square(row, x, n, 1) + eps;
  const bool is_near = std::isfinite(square) && square > 0x1p-900;
  const double near = 1 / std::sqrt(square);
  if (__ballot_sync(cuda::kAllLanes, !is_near) == 0) return near;
  const double factor = square > 1 ? 0x1p-600 : 0x1p600;
  const double far = factor / std::sqrt(mean_square(row, x, n, factor) + eps * factor * factor);
  return is_near ? near : far;
}

template <class Row, class T>
__global__ void rms_norm_kernel(std::int64_t rows, std::int64_t n, const T* __restrict__ x,
                                KeptPositions keep, const T* __restrict__ weight, double eps,
                                T* __restrict__ y, T* __restrict__ xhat,
                                double* __restrict__ inverse_roots) {
  const Row row(rows, n);
  const std::int64_t at = row.index * n;
  const bool has_row = row.exists() && keep[row.index];
  const double inverse_root = inverse_root_of(row.first(has_row ? n : 0), x + at, n, eps);
  const functors::Normalise rule{0, inverse_root};
  row.for_each([=](std::int64_t j) {
    const T normalised = has_row ? rule(x[at + j]) : T{0};
    xhat[at + j] = normalised;
    y[at + j] = has_row ? normalised * weight[j] : T{0};
  });
  if (row.is_first()) inverse_roots[row.index] = has_row ? inverse_root : 0;
}

template <class Row, class T>
__global__ void rms_norm_gradient_kernel(std::int64_t rows, std::int64_t n, const T* __restrict__ g,
                                         const T* __restrict__ xhat,
                                         const double* __restrict__ inverse_roots,
                                         KeptPositions keep, const T* __restrict__ weight,
                                         T* __restrict__ dx) {
  const Row row(rows, n);
  const std::int64_t at = row.index * n;
  const bool has_row = row.exists() && keep[row.index];
  const double dot = row_sum<double>(row.first(has_row ? n : 0), [=](std::int64_t j) {
    return math::product(static_cast<double>(weight[j] * g[at + j]),
                         static_cast<double>(xhat[at + j]));
  });
  const functors::NormGradient rule{0, dot / static_cast<double>(n),
                                    has_row ? inverse_roots[row.index] : 0};
  row.for_each([=](std::int64_t j) {
    dx[at + j] = has_row ? rule(weight[j] * g[at + j], xhat[at + j]) : T{0};
  });
}

void normalise(const Tensor& x, const SequenceMask& mask, const Tensor& weight, double eps,
               Tensor& y, RmsNormSaved& saved) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "rms_norm", [&]<class T>(T) {
    launch_rows("rms_norm", x.shape(), rms_norm_kernel<ShortRow, T>, rms_norm_kernel<LongRow, T>,
                x.device_data<T>(), KeptPositions::of_rows(mask, x), weight.device_data<T>(), eps,
                y.device_data<T>(), saved.xhat.device_data<T>(),
                saved.inverse_roots.device_data<double>());
  });
}

void set_gradient(const Tensor& g, const RmsNormSaved& saved, const SequenceMask& mask,
                  const Tensor& weight, Tensor& dx) {
  dispatch_dtype(FloatingTypes{}, g.dtype(), "rms_norm", [&]<class T>(T) {
    launch_rows("rms_norm", g.shape(), rms_norm_gradient_kernel<ShortRow, T>,
                rms_norm_gradient_kernel<LongRow, T>, g.device_data<T>(),
                saved.xhat.device_data<T>(), saved.inverse_roots.device_data<double>(),
                KeptPositions::of_rows(mask, g), weight.device_data<T>(), dx.device_data<T>());
  });
}

const bool kFilled = kRmsNormCuda.fill(normalise) && kRmsNormGradientCuda.fill(set_gradient);

}  // namespace
}  // namespace maskgrad::ops
