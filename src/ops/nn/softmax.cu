// log() may differ from the C library's in its last place.
#include <maskgrad/ops/cuda/softmax_rows.hpp>
#include <maskgrad/ops/nn/softmax_kernels.hpp>

namespace maskgrad::ops {
namespace {

// The only run of kept places of a row, of which all are; or the whole row and its bits.
struct KeptPart {
  const bool* bits;
  std::int64_t first, count;
};

// KeptOfRows in a kernel.
struct KeptThere {
  const bool* bits;
  const std::int32_t* runs;
  const std::int64_t* rows;

  __device__ KeptPart part(std::int64_t index, std::int64_t n) const {
    const std::int64_t row = rows ? rows[index] : index;
    if (row < 0) return {nullptr, 0, 0};
    const std::int64_t begin = runs[2 * row], end = runs[2 * row + 1];
    if (begin < 0) return {bits + row * n, 0, n};
    return {nullptr, begin, end - begin};
  }
};

AllOfRows there(const AllOfRows& all) { return all; }
KeptThere there(const KeptOfRows& kept) {
  return {kept.bits.device_data<bool>(), kept.runs.device_data<std::int32_t>(),
          kept.rows.defined() ? kept.rows.device_data<std::int64_t>() : nullptr};
}

template <class Row, class F, class T>
__device__ void on_kept(const Row& row, std::int64_t n, AllOfRows, const F& f, T*) {
  f(row, KeptOfRow{nullptr}, row.index * n);
}
// Gives f what is kept of a row, and writes 0 to the rest. A run is taken as a row of its own, so
// that sums begin where it does.
template <class Row, class F, class T>
__device__ void on_kept(const Row& row, std::int64_t n, const KeptThere& keep, const F& f,
                        T* result) {
  const KeptPart part = row.exists() ? keep.part(row.index, n) : KeptPart{nullptr, 0, 0};
  const std::int64_t at = row.index * n;
  row.for_each([=](std::int64_t j) {
    if (j < part.first || j >= part.first + part.count) result[at + j] = 0;
  });
  f(row.first(part.count), KeptOfRow{part.bits}, at + part.first);
}

template <class Row, class F, class Kept, class T>
__global__ void rows_kernel(std::int64_t rows, std::int64_t n, Kept keep, const T* __restrict__ x,
                            T* __restrict__ y) {
  on_kept(Row(rows, n), n, keep, F{x, y}, y);
}

template <class Row, class F, class Kept, class T>
__global__ void gradient_kernel(std::int64_t rows, std::int64_t n, Kept keep,
                                const T* __restrict__ y, const T* __restrict__ g,
                                T* __restrict__ dx) {
  on_kept(Row(rows, n), n, keep, F{y, g, dx}, dx);
}

template <auto& kernels, template <class> class F, class Kept>
void run(const Tensor& x, const Kept& kept, Tensor& y) {
  const auto keep = there(kept);
  using Keep = std::remove_const_t<decltype(keep)>;
  dispatch_dtype(FloatingTypes{}, x.dtype(), kernels.forward.op(), [&]<class T>(T) {
    launch_rows(kernels.forward.op(), x.shape(), rows_kernel<ShortRow, F<T>, Keep, T>,
                rows_kernel<LongRow, F<T>, Keep, T>, keep, x.device_data<T>(), y.device_data<T>());
  });
}

template <auto& kernels, template <class> class F, class Kept>
void run_back(const Tensor& y, const Tensor& g, const Kept& kept, Tensor& dx) {
  const auto keep = there(kept);
  using Keep = std::remove_const_t<decltype(keep)>;
  dispatch_dtype(FloatingTypes{}, g.dtype(), kernels.forward.op(), [&]<class T>(T) {
    launch_rows(kernels.forward.op(), g.shape(), gradient_kernel<ShortRow, F<T>, Keep, T>,
                gradient_kernel<LongRow, F<T>, Keep, T>, keep, y.device_data<T>(),
                g.device_data<T>(), dx.device_data<T>());
  });
}

template <auto& kernels, template <class> class Forward, template <class> class Gradient>
bool fill() {
  return kernels.forward.fill(run<kernels, Forward>) &&
         kernels.gradient.fill(run_back<kernels, Gradient>);
}

const bool kFilled = fill<kSoftmaxCuda, SoftmaxOfRow, SoftmaxGradientOfRow>() &&
                     fill<kMaskedSoftmaxCuda, SoftmaxOfRow, SoftmaxGradientOfRow>() &&
                     fill<kLogSoftmaxCuda, LogSoftmaxOfRow, LogSoftmaxGradientOfRow>() &&
                     fill<kMaskedLogSoftmaxCuda, LogSoftmaxOfRow, LogSoftmaxGradientOfRow>();

}  // namespace
}  // namespace maskgrad::ops
