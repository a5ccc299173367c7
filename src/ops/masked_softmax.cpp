#include <cmath>

#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/ops/softmax.hpp>
#include <maskgrad/ops/softmax_rows.hpp>
#include <maskgrad/tensor/gradient_kernels.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& register_masked(const char* name, const char* summary,
                             Variable (*function)(const Variable&, const Tensor&)) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input", .reach = Reach::kByCall},
                 {.name = "mask",
                  .reach = Reach::kLastAxis,
                  .dtypes = DTypes::kBool,
                  .differentiable = false}},
      .mask_rule = MaskRule::kKeeps,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        return {function(call.input("input"), call.input("mask").value())};
      },
      .samples = [](Random& r) -> std::vector<OpSample> {
        std::vector<OpSample> samples;
        for (const Shape& keep : {Shape{2, 3, 20}, Shape{2, 1, 20}, Shape{20}, Shape{2, 3, 1}}) {
          samples.push_back(
              {{{"input", sample_uniform(r, {2, 3, 20})}, {"mask", sample_bits(r, keep)}}});
        }
        samples.push_back(
            {{{"input", sample_uniform(r, {3, 0})}, {"mask", sample_bits(r, {3, 0})}}});
        return samples;
      },
  });
}

const OpDef& kMaskedSoftmax = register_masked(
    "masked_softmax", "softmax over the kept places of the last dimension, 0 at the others",
    masked_softmax);
const OpDef& kMaskedLogSoftmax = register_masked(
    "masked_log_softmax",
    "logarithm of softmax over the kept places of the last dimension, 0 at the others",
    masked_log_softmax);

// `keep` with every row that x has, so that kernels find row i of it beside row i of x. What the
// mask of x leaves out does not count either.
Tensor mask_rows(const OpDef& op, const Variable& x, const Tensor& keep) {
  check(keep.dtype() == DType::kBool && can_broadcast(keep.shape(), x.shape()), op.name.c_str(),
        "a mask of {} {} does not fit an input of {}", to_string(keep.dtype()), keep.shape(),
        x.shape());
  return without_holes(expand(keep, x.shape()), x.mask());
}

// Copies the kept places, and writes `fill` at the others.
template <class T>
void select_row(const T* x, const bool* keep, T fill, T* y, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) y[j] = keep[j] ? x[j] : fill;
}

// exp(x - max) over the kept places into y, 0 at the others; returns max and sum.
template <class T>
std::pair<T, T> masked_exp_row(const T* x, const bool* keep, T* y, std::int64_t n) {
  select_row(x, keep, -std::numeric_limits<T>::infinity(), y, n);
  const T top = row_max(y, n);
  row_exp(y, top, y, n);
  select_row(y, keep, T{}, y, n);
  return {top, row_sum(y, n)};
}

// A kept place depends on the kept places of its row.
Tensor reached(const Tensor& marked, const Tensor& keep) {
  return both(spread(Reach::kLastAxis, both(marked, keep), keep.shape()), keep);
}

// Runs f(g, kept, y, dx, n) on each row of a gradient.
template <class F>
void for_each_gradient_row(const OpDef& op, const Tensor& g, const Tensor& keep, const Tensor& y,
                           Tensor dx, F f) {
  for_each_row(op, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
    f(g.data<T>() + at, keep.data<bool>() + at, y.data<T>() + at, dx.data<T>() + at, n);
  });
}

}  // namespace

// dx = y (g - sum_k g_k y_k) over the kept places, 0 at the others
Variable masked_softmax(const Variable& x, const Tensor& mask) {
  const Tensor keep = mask_rows(kMaskedSoftmax, x, mask);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  for_each_row(kMaskedSoftmax, x.value(), [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const bool* kept = keep.data<bool>() + at;
    T* row = y.data<T>() + at;
    const T sum = masked_exp_row(x.value().data<T>() + at, kept, row, n).second;
    // Selected: where nothing is kept the sum is 0, and beside a NaN that counts it is NaN.
    for (std::int64_t j = 0; j < n; ++j) row[j] = kept[j] ? row[j] / sum : T{};
  });
  const auto rule = [y, keep](const Tensor& g, Gradients& grads) {
    for_each_gradient_row(
        kMaskedSoftmax, g, keep, y, grads.buffer(0),
        []<class T>(const T* grad, const bool* kept, const T* out, T* row, std::int64_t n) {
          select_row(grad, kept, T{}, row, n);
          softmax_gradient_row(out, row, row, n);
          select_row(row, kept, T{}, row, n);
        });
  };
  return record(kMaskedSoftmax, {&x}, y,
                with_reach(rule, [keep](std::size_t, const Tensor& marked) {
                  return reached(marked, keep);
                }));
}

// dx = g - softmax(x) sum_k g_k over the kept places, 0 at the others
Variable masked_log_softmax(const Variable& x, const Tensor& mask) {
  const Tensor keep = mask_rows(kMaskedLogSoftmax, x, mask);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  for_each_row(kMaskedLogSoftmax, x.value(), [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const bool* kept = keep.data<bool>() + at;
    const T* in = x.value().data<T>() + at;
    T* row = y.data<T>() + at;
    const auto [top, sum] = masked_exp_row(in, kept, row, n);
    const T log_sum = std::log(sum);
    // In this order, or a large top swallows the logarithm.
    for (std::int64_t j = 0; j < n; ++j) row[j] = kept[j] ? (in[j] - top) - log_sum : T{};
  });
  const auto rule = [y, keep](const Tensor& g, Gradients& grads) {
    for_each_gradient_row(
        kMaskedLogSoftmax, g, keep, y, grads.buffer(0),
        []<class T>(const T* grad, const bool* kept, const T* out, T* row, std::int64_t n) {
          select_row(grad, kept, T{}, row, n);
          const T sum = row_sum(row, n);
          row_exp(out, T{}, row, n);
          for (std::int64_t j = 0; j < n; ++j) row[j] = kept[j] ? grad[j] - row[j] * sum : T{};
        });
  };
  return record(kMaskedLogSoftmax, {&x}, y,
                with_reach(rule, [keep](std::size_t, const Tensor& marked) {
                  return reached(marked, keep);
                }));
}

}  // namespace maskgrad::ops
