#include <maskgrad/ops/row_products.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>

namespace maskgrad::ops {
namespace {

struct Rows {
  std::int64_t count, length;
};

Rows rows_of(const Tensor& x) { return {x.shape().slice(0, x.rank() - 1).numel(), x.dim(-1)}; }

}  // namespace

Tensor rows_times(const Tensor& x, const Tensor& w, bool transpose_w, const Tensor& bias,
                  bool relu) {
  const Rows rows = rows_of(x);
  const std::int64_t n = w.dim(transpose_w ? 0 : 1);
  Tensor y = Tensor::empty(x.shape().with_dim(-1, n), x.dtype(), x.device());
  dispatch_device(x.device(), "matmul", [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "matmul", [&]<class T>(T) {
      const MatrixProduct product = {.m = rows.count,
                                     .n = n,
                                     .k = rows.length,
                                     .transpose_b = transpose_w,
                                     .rows_are_samples = x.rank() == 2};
      multiply_matrices(product, x.data<T>(), w.data<T>(), y.data<T>(),
                        RowFinish<T>{bias.defined() ? bias.data<T>() : nullptr, relu});
    });
  });
  return y;
}

void sum_outer_products(const Tensor& x, const SequenceMask& mask, const Tensor& g,
                        bool transpose_w, Tensor& dw) {
  // 0 times anything finite adds nothing.
  const bool hides = mask.defined() && !holes_are_finite(x, mask);
  const Tensor kept = hides ? without_holes(x, mask) : x;
  const Tensor &left = transpose_w ? g : kept, &right = transpose_w ? kept : g;
  const Rows rows = rows_of(x);
  dispatch_device(x.device(), "matmul", [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "matmul", [&]<class T>(T) {
      const MatrixProduct product = {.m = left.dim(-1),
                                     .n = right.dim(-1),
                                     .k = rows.count,
                                     .transpose_a = true,
                                     .rows_per_sample = rows.count > 0 ? rows.count / x.dim(0) : 0,
                                     .rows_are_samples = x.rank() == 2};
      multiply_matrices(product, left.data<T>(), right.data<T>(), dw.data<T>());
    });
  });
}

}  // namespace maskgrad::ops
