#include <cmath>

#include <maskgrad/ops/cuda/columns.hpp>
#include <maskgrad/ops/math/reduce_kernels.hpp>

namespace maskgrad::ops {
namespace {

// The line of a row: element j of it stands at (*this)[j] of the tensor.
struct Line {
  std::int64_t first, step;

  __device__ Line(std::int64_t index, const Around& d)
      : first(index / d.inner * d.along * d.inner + index % d.inner), step(d.inner) {}
  __device__ std::int64_t operator[](std::int64_t j) const { return first + j * step; }
};

__device__ bool is_kept(const bool* keep, std::int64_t place) { return !keep || keep[place]; }

// Where the largest kept element of a line stands, the first of equals, the first NaN if there is
// one; -1 over nothing. All threads of the row get it.
template <class Row, class T>
__device__ std::int64_t place_of_largest(const Row& row, const Line& line, const T* x,
                                         const bool* keep) {
  constexpr std::int64_t kNowhere = std::numeric_limits<std::int64_t>::max();
  const auto larger = [](T a, T b) { return !std::isnan(a) && (std::isnan(b) || b > a) ? b : a; };
  const T top = reduce_row(
      row, -std::numeric_limits<T>::infinity(),
      [=](T best, std::int64_t j) {
        return is_kept(keep, line[j]) ? larger(best, x[line[j]]) : best;
      },
      larger);
  const auto earlier = [](std::int64_t a, std::int64_t b) { return b < a ? b : a; };
  const std::int64_t place = reduce_row(
      row, kNowhere,
      [=](std::int64_t best, std::int64_t j) {
        if (!is_kept(keep, line[j])) return best;
        const T value = x[line[j]];
        const bool is_top = value == top || (std::isnan(value) && std::isnan(top));
        return is_top ? earlier(best, j) : best;
      },
      earlier);
  return place == kNowhere ? -1 : place;
}

template <class Row, class T>
__global__ void max_kernel(std::int64_t lines, std::int64_t along, Around d, const T* x,
                           const bool* keep, std::int64_t* best, T* y) {
  const Row row(lines, along);
  const Line line(row.index, d);
  const std::int64_t place = place_of_largest(row, line, x, keep);
  if (!row.is_first()) return;
  best[row.index] = place;
  if (y) y[row.index] = place < 0 ? T{0} : x[line[place]];
}

template <class T>
__global__ void max_gradient_kernel(std::int64_t count, Around d, const T* __restrict__ g,
                                    const std::int64_t* __restrict__ best, T* __restrict__ dx) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  const std::int64_t line = i / d.inner / d.along * d.inner + i % d.inner;
  dx[i] = best[line] == i / d.inner % d.along ? g[line] : T{0};
}

template <class Row>
__device__ std::int64_t count_kept(const Row& row, const Line& line, const bool* keep) {
  return row_sum<std::int64_t>(row, [=](std::int64_t j) { return std::int64_t{keep[line[j]]}; });
}

template <class Row, class T>
__global__ void masked_mean_kernel(std::int64_t lines, std::int64_t along, Around d, const T* x,
                                   const bool* keep, T* y) {
  const Row row(lines, along);
  const Line line(row.index, d);
  const T sum = row_sum<T>(row, [=](std::int64_t j) { return keep[line[j]] ? x[line[j]] : T{0}; });
  const std::int64_t count = count_kept(row, line, keep);
  if (row.is_first()) y[row.index] = count > 0 ? sum / static_cast<T>(count) : T{0};
}

template <class Row, class T>
__global__ void masked_mean_gradient_kernel(std::int64_t lines, std::int64_t along, Around d,
                                            const T* __restrict__ g, const bool* __restrict__ keep,
                                            T* __restrict__ dx) {
  const Row row(lines, along);
  const Line line(row.index, d);
  const std::int64_t count = count_kept(row, line, keep);
  const T share = row.exists() ? g[row.index] / static_cast<T>(count) : T{0};
  row.for_each([=](std::int64_t j) { dx[line[j]] = keep[line[j]] ? share : T{0}; });
}

template <class T>
void find_largest(const Tensor& x, const bool* keep, const Around& d, Tensor& best, T* y) {
  launch_lines("max", d, max_kernel<ShortRow, T>, max_kernel<LongRow, T>, max_kernel<Column, T>,
               x.device_data<T>(), keep, best.device_data<std::int64_t>(), y);
}

void argmax(const Tensor& x, const Around& d, Tensor& best) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "argmax",
                 [&]<class T>(T) { find_largest<T>(x, nullptr, d, best, nullptr); });
}
void max(const Tensor& x, const Around& d, Tensor& best, Tensor& y) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "max",
                 [&]<class T>(T) { find_largest<T>(x, nullptr, d, best, y.device_data<T>()); });
}
void masked_max(const Tensor& x, const Tensor& keep, const Around& d, Tensor& best, Tensor& y) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "masked_max", [&]<class T>(T) {
    find_largest<T>(x, keep.device_data<bool>(), d, best, y.device_data<T>());
  });
}
void max_gradient(const Tensor& g, const Around& d, const Tensor& best, Tensor& dx) {
  dispatch_dtype(FloatingTypes{}, g.dtype(), "max", [&]<class T>(T) {
    cuda::launch({"max", cuda::blocks_for(dx.numel()), cuda::kThreads}, max_gradient_kernel<T>,
                 dx.numel(), d, g.device_data<T>(), best.device_data<std::int64_t>(),
                 dx.device_data<T>());
  });
}

void masked_mean(const Tensor& x, const Tensor& keep, const Around& d, Tensor& y) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "masked_mean", [&]<class T>(T) {
    launch_lines("masked_mean", d, masked_mean_kernel<ShortRow, T>, masked_mean_kernel<LongRow, T>,
                 masked_mean_kernel<Column, T>, x.device_data<T>(), keep.device_data<bool>(),
                 y.device_data<T>());
  });
}
void masked_mean_gradient(const Tensor& g, const Tensor& keep, const Around& d, Tensor& dx) {
  dispatch_dtype(FloatingTypes{}, g.dtype(), "masked_mean", [&]<class T>(T) {
    launch_lines("masked_mean", d, masked_mean_gradient_kernel<ShortRow, T>,
                 masked_mean_gradient_kernel<LongRow, T>, masked_mean_gradient_kernel<Column, T>,
                 g.device_data<T>(), keep.device_data<bool>(), dx.device_data<T>());
  });
}

const bool kFilled =
    kArgmaxCuda.fill(argmax) && kMaxCuda.fill(max) && kMaxGradientCuda.fill(max_gradient) &&
    kMaskedMaxCuda.fill(masked_max) && kMaskedMaxGradientCuda.fill(max_gradient) &&
    kMaskedMeanCuda.fill(masked_mean) && kMaskedMeanGradientCuda.fill(masked_mean_gradient);
// With the kernels of sum_to().
const SharedKernels kSum("sum"), kMean("mean");

}  // namespace
}  // namespace maskgrad::ops
