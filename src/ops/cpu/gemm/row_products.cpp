#include <maskgrad/ops/cpu/gemm/gemm_paths.hpp>
#include <maskgrad/ops/cpu/gemm/row_products.hpp>
#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/math/product_slots.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

struct Rows {
  std::int64_t count, length;
};

Rows rows_of(const Tensor& x) { return {x.shape().slice(0, x.rank() - 1).numel(), x.dim(-1)}; }

}  // namespace

RowsTimesEach rows_times_each(const Tensor& x, std::int64_t matrices, const Shape& w) {
  const std::int64_t samples = x.rank() > 2 ? x.dim(0) : 1;
  return {.matrices = matrices,
          .samples = samples,
          .rows_per_sample = samples > 0 ? rows_of(x).count / samples : 0,
          .k = w[0],
          .n = w[1]};
}

Tensor rows_times(const Tensor& x, const Tensor& w, bool transpose_w, const Tensor& bias,
                  bool relu) {
  check(bias.defined() || !relu, "linear", "relu without a bias has no kernel");
  check_product_math(bias.defined() ? "linear" : "matmul", x.dtype(), x.device());
  const Rows rows = rows_of(x);
  const std::int64_t n = w.dim(transpose_w ? 0 : 1);
  Tensor y = Tensor::empty(x.shape().with_dim(-1, n), x.dtype(), x.device());
  const MatrixProduct product = {.m = rows.count,
                                 .n = n,
                                 .k = rows.length,
                                 .transpose_b = transpose_w,
                                 .rows_are_samples = x.rank() == 2};
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "matmul", [&]<class T>(T) {
      multiply_matrices(product, x.data<T>(), w.data<T>(), y.data<T>(),
                        RowFinish<T>{bias.defined() ? bias.data<T>() : nullptr, relu});
    });
  };
  if (bias.defined()) {
    dispatch_device(x.device(), kLinearCuda, on_cpu, product, x, w, bias, relu, y);
  } else {
    dispatch_device(x.device(), kMatmulCuda, on_cpu, product, x, w, y);
  }
  return y;
}

void sum_outer_products(const Tensor& x, const Tensor& g, bool transpose_w, Tensor& dw,
                        Tensor sums) {
  const Tensor &left = transpose_w ? g : x, &right = transpose_w ? x : g;
  const RowsTimesEach of_samples = rows_times_each(x, 1, dw.shape());
  const MatrixProduct product = {.m = left.dim(-1),
                                 .n = right.dim(-1),
                                 .k = of_samples.rows(),
                                 .transpose_a = true,
                                 .rows_per_sample = of_samples.rows_per_sample,
                                 .rows_are_samples = x.rank() == 2};
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "matmul", [&]<class T>(T) {
      RowFinish<T> finish;
      if (sums.defined()) finish.sums_of_b = sums.data<T>();
      multiply_matrices(product, left.data<T>(), right.data<T>(), dw.data<T>(), finish);
    });
  };
  if (sums.defined()) {
    dispatch_device(x.device(), kProductAndSumsCuda, on_cpu, product, left, right, dw, sums);
  } else {
    dispatch_device(x.device(), kMatmulCuda, on_cpu, product, left, right, dw);
  }
}

namespace {

// Both gradients of a small w in one loop, on the CPU.
void set_both(const RowsTimesEach& product, const Tensor& x, const Tensor& w, const Tensor& g,
              Gradients& grads) {
  Tensor dx = grads.buffer(0), dw = grads.buffer(1);
  dispatch_dtype(FloatingTypes{}, x.dtype(), "matmul", [&]<class T>(T) {
    const T* const factor = w.data<T>();
    T* const sums = dw.data<T>();
    multiply_both_gradients(product, x.data<T>(), &factor, g.data<T>(), dx.data<T>(), &sums);
  });
}

}  // namespace

void sum_of_rows(const RowsTimesEach& product, const Tensor& g, Tensor sums) {
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, g.dtype(), "matmul", [&]<class T>(T) {
      sum_columns(product.sum(), g.data<T>(), product.n, sums.data<T>());
    });
  };
  dispatch_device(g.device(), kSumOfRowsCuda, on_cpu, product, g, sums);
}

void set_gradients(const Tensor& x, const SequenceMask& mask, const Tensor& w, bool transpose_w,
                   bool has_bias, const Tensor& g, Gradients& grads) {
  const bool of_x = grads.needed(0), of_w = grads.needed(1), of_bias = has_bias && grads.needed(2);
  const bool on_cpu = x.device().type == DeviceType::kCpu;
  // 0 times anything finite adds nothing. The host does not wait for a device to look.
  const bool hides = of_w && mask.defined() && !(on_cpu && holes_are_finite(x, mask));
  const Tensor kept = hides ? without_holes(x, mask) : x;
  const RowsTimesEach product = rows_times_each(x, 1, w.shape());
  const bool share = on_cpu && of_x && of_w && !transpose_w && gradients_share_a_loop(product);
  if (of_bias && (share || !of_w)) sum_of_rows(product, g, grads.buffer(2));
  if (share) return set_both(product, kept, w, g, grads);
  if (of_x) grads.set(0, rows_times(g, w, !transpose_w));
  if (!of_w) return;
  Tensor dw = grads.buffer(1);
  sum_outer_products(kept, g, transpose_w, dw, of_bias ? grads.buffer(2) : Tensor());
}

}  // namespace maskgrad::ops
