#include <maskgrad/ops/cuda/softmax_rows.hpp>
#include <maskgrad/ops/nn/softmax_kernels.hpp>

namespace maskgrad::ops {
namespace {

// The only run of kept places of a row, of which all are; or the whole row and its bits.
struct KeptPart {
  const bool* bits;
  std::int64_t first, count;
};

// KeptRows in a kernel.
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

// A run is taken as a row of its own, so that sums begin where it does.
template <class Row, class F>
__global__ void kept_rows_kernel(std::int64_t rows, std::int64_t n, Kept keep, F f) {
  const Row row(rows, n);
  const KeptPart part = row.exists() ? keep.part(row.index, n) : KeptPart{nullptr, 0, 0};
  auto* const result = f.result + row.index * n;
  row.for_each([=](std::int64_t j) {
    if (j < part.first || j >= part.first + part.count) result[j] = 0;
  });
  f(row.first(part.count), KeptOfRow{part.bits}, row.index * n + part.first);
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

template <class F>
void launch_on_kept(const Tensor& x, const KeptRows& keep, F f) {
  const Tensor bits = keep.bits.to(x.device()), runs = tensor_of(keep.runs).to(x.device()),
               rows = keep.rows.defined() ? keep.rows.to(x.device()) : Tensor();
  const Kept kept = {bits.device_data<bool>(), runs.device_data<std::int32_t>(),
                     rows.defined() ? rows.device_data<std::int64_t>() : nullptr};
  launch_rows("masked_softmax", x.shape(), kept_rows_kernel<ShortRow, F>,
              kept_rows_kernel<LongRow, F>, kept, f);
}

template <template <class> class F>
bool fill_forward(SoftmaxKernels<KeptRows>& kernels) {
  return kernels.forward.fill([](const Tensor& x, const KeptRows& keep, Tensor& y) {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "masked_softmax", [&]<class T>(T) {
      launch_on_kept(x, keep, F<T>{x.device_data<T>(), y.device_data<T>()});
    });
  });
}
template <template <class> class F>
bool fill_gradient(SoftmaxKernels<KeptRows>& kernels) {
  return kernels.gradient.fill([](const Tensor& y, const Tensor& g, const KeptRows& keep,
                                  Tensor& dx) {
    dispatch_dtype(FloatingTypes{}, g.dtype(), "masked_softmax", [&]<class T>(T) {
      launch_on_kept(g, keep, F<T>{y.device_data<T>(), g.device_data<T>(), dx.device_data<T>()});
    });
  });
}

const bool kFilled = fill_forward<SoftmaxOfRow>(kMaskedSoftmaxCuda) &&
                     fill_gradient<SoftmaxGradientOfRow>(kMaskedSoftmaxCuda) &&
                     fill_forward<LogSoftmaxOfRow>(kMaskedLogSoftmaxCuda) &&
                     fill_gradient<LogSoftmaxGradientOfRow>(kMaskedLogSoftmaxCuda);

}  // namespace
}  // namespace maskgrad::ops
