#include <cmath>

#include <maskgrad/ops/row_kernels.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/ops/softmax.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& register_softmax(const char* name, const char* summary,
                              Variable (*function)(const Variable&)) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input", .reach = Reach::kLastAxis}},
      .mask_rule = MaskRule::kKeeps,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        return {function(call.input("input"))};
      },
      .samples = [](Random& r) -> std::vector<OpSample> {
        return {{{{"input", sample_uniform(r, {2, 3, 20})}}},
                {{{"input", sample_uniform(r, {1})}}},
                {{{"input", sample_uniform(r, {3, 0})}}}};
      },
  });
}

const OpDef& kSoftmax = register_softmax("softmax", "softmax over the last dimension", softmax);
const OpDef& kLogSoftmax =
    register_softmax("log_softmax", "logarithm of softmax over the last dimension", log_softmax);

const OpDef& kMaskedSoftmax = register_op({
    .name = "masked_softmax",
    .summary = "softmax over the kept places of the last dimension, 0 at the others",
    .inputs = {{.name = "input", .reach = Reach::kLastAxis},
               {.name = "mask",
                .reach = Reach::kLastAxis,
                .dtypes = DTypes::kBool,
                .differentiable = false}},
    .mask_rule = MaskRule::kUses,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {masked_softmax(call.input("input"), call.input("mask").value())};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& keep : {Shape{2, 3, 20}, Shape{2, 1, 20}, Shape{20}, Shape{2, 3, 1}}) {
        samples.push_back(
            {{{"input", sample_uniform(r, {2, 3, 20})}, {"mask", sample_bits(r, keep)}}});
      }
      return samples;
    },
});

struct Rows {
  std::int64_t count, length;
};

Rows rows_of(const OpDef& op, const Tensor& x) {
  check(x.rank() >= 1, op.name.c_str(), "needs at least one dimension");
  const std::int64_t length = x.dim(-1);
  return {length ? x.numel() / length : 0, length};
}

void check_last_is_not_positions(const OpDef& op, const Variable& x) {
  check(!x.mask().defined() || x.rank() > 2, op.name.c_str(),
        "would read masked positions of {}; use masked_softmax, or drop_mask() on purpose",
        x.shape());
}

// exp(x - max) into y; returns the sum.
template <class T>
T exp_row(const T* x, T* y, std::int64_t n) {
  row_exp(x, row_max(x, n), y, n);
  return row_sum(y, n);
}

template <class T>
void divide_row(T* y, T by, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) y[j] /= by;
}

// dx = y (g - sum_k g_k y_k)
template <class T>
void softmax_gradient_row(const T* y, const T* g, T* dx, std::int64_t n) {
  const T dot = row_dot(g, y, n);
  for (std::int64_t j = 0; j < n; ++j) dx[j] = y[j] * (g[j] - dot);
}

// Runs f(row pointers..., length) over all rows, in chunks.
template <class F>
void for_each_row(const OpDef& op, const Tensor& x, F f) {
  const Rows rows = rows_of(op, x);
  dispatch_device(x.device(), op.name.c_str(), [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), op.name.c_str(), [&]<class T>(T) {
      parallel_for(rows.count, chunk_for(rows.length * 8), [&](std::int64_t row, std::int64_t end) {
        for (; row < end; ++row) f(T{}, row * rows.length, rows.length);
      });
    });
  });
}

// `keep` with every row that x has, so that kernels find row i of it beside row i of x.
Tensor mask_rows(const Tensor& x, const Tensor& keep) {
  check(keep.dtype() == DType::kBool && can_broadcast(keep.shape(), x.shape()), "masked_softmax",
        "a mask of {} {} does not fit an input of {}", to_string(keep.dtype()), keep.shape(),
        x.shape());
  return expand(keep, x.shape());
}

// Masked places are written as -inf before and 0 after, so nothing that stands there is read.
template <class T>
void masked_softmax_row(const T* x, const bool* keep, T* y, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) y[j] = keep[j] ? x[j] : -std::numeric_limits<T>::infinity();
  const T top = row_max(y, n);
  row_exp(y, top, y, n);
  for (std::int64_t j = 0; j < n; ++j) y[j] = keep[j] ? y[j] : T{};
  const T sum = row_sum(y, n);
  // Selected again: where nothing is kept the sum is 0, and beside a NaN that counts it is NaN.
  for (std::int64_t j = 0; j < n; ++j) y[j] = keep[j] ? y[j] / sum : T{};
}

}  // namespace

// dx = y (g - sum_k g_k y_k)
Variable softmax(const Variable& x) {
  check_last_is_not_positions(kSoftmax, x);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  for_each_row(kSoftmax, x.value(), [&]<class T>(T, std::int64_t at, std::int64_t n) {
    T* row = y.data<T>() + at;
    divide_row(row, exp_row(x.value().data<T>() + at, row, n), n);
  });
  return record(kSoftmax, {&x}, y, [y](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    for_each_row(kSoftmax, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
      softmax_gradient_row(y.data<T>() + at, g.data<T>() + at, dx.data<T>() + at, n);
    });
  });
}

// dx = g - softmax(x) sum_k g_k
Variable log_softmax(const Variable& x) {
  check_last_is_not_positions(kLogSoftmax, x);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  for_each_row(kLogSoftmax, x.value(), [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T* in = x.value().data<T>() + at;
    T* row = y.data<T>() + at;
    const T top = row_max(in, n), log_sum = std::log(exp_row(in, row, n));
    // In this order, or a large top swallows the logarithm.
    for (std::int64_t j = 0; j < n; ++j) row[j] = (in[j] - top) - log_sum;
  });
  return record(kLogSoftmax, {&x}, y, [y](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    for_each_row(kLogSoftmax, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
      const T* grad = g.data<T>() + at;
      T* row = dx.data<T>() + at;
      const T sum = row_sum(grad, n);
      row_exp(y.data<T>() + at, T{}, row, n);
      for (std::int64_t j = 0; j < n; ++j) row[j] = grad[j] - row[j] * sum;
    });
  });
}

// dx = y (g - sum_k g_k y_k) over the kept places, 0 at the others
Variable masked_softmax(const Variable& x, const Tensor& mask) {
  const Tensor keep = mask_rows(x.value(), mask);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  for_each_row(kMaskedSoftmax, x.value(), [&]<class T>(T, std::int64_t at, std::int64_t n) {
    masked_softmax_row(x.value().data<T>() + at, keep.data<bool>() + at, y.data<T>() + at, n);
  });
  return record(kMaskedSoftmax, {&x}, y, [y, keep](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    for_each_row(kMaskedSoftmax, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
      const bool* kept = keep.data<bool>() + at;
      const T *grad = g.data<T>() + at, *out = y.data<T>() + at;
      T* row = dx.data<T>() + at;
      for (std::int64_t j = 0; j < n; ++j) row[j] = kept[j] ? grad[j] : T{};
      softmax_gradient_row(out, row, row, n);
      for (std::int64_t j = 0; j < n; ++j) row[j] = kept[j] ? row[j] : T{};
    });
  });
}

}  // namespace maskgrad::ops
