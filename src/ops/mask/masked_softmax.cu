#include <maskgrad/ops/cuda/softmax_rows.hpp>
#include <maskgrad/ops/nn/softmax_kernels.hpp>

namespace maskgrad::ops {
namespace {

// The only run of kept places of a row, of which all are; or the whole row and its bits.
struct KeptPart {
  const bool* bits;
  std::int64_t first, count;
};

// KeptOfSoftmax in a kernel.
struct Kept {
  const bool* bits;
  const std::int32_t* runs;  // [begin, end) of each
  const std::int64_t* rows;

  __device__ KeptPart part(std::int64_t index, std::int64_t n) const {
    const std::int64_t row = rows ? rows[index] : index;
    if (row < 0) return {nullptr, 0, 0};
    const std::int64_t begin = runs[2 * row], end = runs[2 * row + 1];
    if (begin < 0) return {bits + row * n, 0, n};
    return {nullptr, begin, end - begin};
  }
};

// Gives f what is kept of a row, and writes 0 to the rest. A run is taken as a row of its own, so
// that sums begin where it does.
template <class Row, class F, class T>
__device__ void on_kept(const Row& row, std::int64_t n, const Kept& keep, const F& f, T* result) {
  const KeptPart part = row.exists() ? keep.part(row.index, n) : KeptPart{nullptr, 0, 0};
  const std::int64_t at = row.index * n;
  row.for_each([=](std::int64_t j) {
    if (j < part.first || j >= part.first + part.count) result[at + j] = 0;
  });
  f(row.first(part.count), KeptOfRow{part.bits}, at + part.first);
}

template <class Row, class F, class T>
__global__ void rows_kernel(std::int64_t rows, std::int64_t n, Kept keep, const T* __restrict__ x,
                            T* __restrict__ y) {
  on_kept(Row(rows, n), n, keep, F{x, y}, y);
}

template <class Row, class F, class T>
__global__ void gradient_kernel(std::int64_t rows, std::int64_t n, Kept keep,
                                const T* __restrict__ y, const T* __restrict__ g,
                                T* __restrict__ dx) {
  on_kept(Row(rows, n), n, keep, F{y, g, dx}, dx);
}

Tensor tensor_of(const Runs& runs) {
  Tensor all = Tensor::empty({static_cast<std::int64_t>(runs.size()), 2}, DType::kInt32);
  auto* to = all.data<std::int32_t>();
  for (const KeyInterval& run : runs) {
    *to++ = run.lo;
    *to++ = run.hi;
  }
  return all;
}

// KeptOfSoftmax on a device.
class UploadedRows {
 public:
  UploadedRows(const KeptOfSoftmax& keep, Device device)
      : bits_(keep.bits.to(device)),
        runs_(tensor_of(keep.runs).to(device)),
        rows_(keep.rows.defined() ? keep.rows.to(device) : Tensor()) {}

  Kept kept() const {
    return {bits_.device_data<bool>(), runs_.device_data<std::int32_t>(),
            rows_.defined() ? rows_.device_data<std::int64_t>() : nullptr};
  }

 private:
  Tensor bits_, runs_, rows_;
};

template <template <class> class F>
bool fill_forward(SoftmaxKernels<KeptOfSoftmax>& kernels) {
  return kernels.forward.fill([](const Tensor& x, const KeptOfSoftmax& keep, Tensor& y) {
    const UploadedRows there(keep, x.device());
    dispatch_dtype(FloatingTypes{}, x.dtype(), "masked_softmax", [&]<class T>(T) {
      launch_rows("masked_softmax", x.shape(), rows_kernel<ShortRow, F<T>, T>,
                  rows_kernel<LongRow, F<T>, T>, there.kept(), x.device_data<T>(),
                  y.device_data<T>());
    });
  });
}
template <template <class> class F>
bool fill_gradient(SoftmaxKernels<KeptOfSoftmax>& kernels) {
  return kernels.gradient.fill(
      [](const Tensor& y, const Tensor& g, const KeptOfSoftmax& keep, Tensor& dx) {
        const UploadedRows there(keep, g.device());
        dispatch_dtype(FloatingTypes{}, g.dtype(), "masked_softmax", [&]<class T>(T) {
          launch_rows("masked_softmax", g.shape(), gradient_kernel<ShortRow, F<T>, T>,
                      gradient_kernel<LongRow, F<T>, T>, there.kept(), y.device_data<T>(),
                      g.device_data<T>(), dx.device_data<T>());
        });
      });
}

const bool kFilled = fill_forward<SoftmaxOfRow>(kMaskedSoftmaxCuda) &&
                     fill_gradient<SoftmaxGradientOfRow>(kMaskedSoftmaxCuda) &&
                     fill_forward<LogSoftmaxOfRow>(kMaskedLogSoftmaxCuda) &&
                     fill_gradient<LogSoftmaxGradientOfRow>(kMaskedLogSoftmaxCuda);

}  // namespace
}  // namespace maskgrad::ops
