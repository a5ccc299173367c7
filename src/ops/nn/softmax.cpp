#include <cmath>

#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& register_softmax(const char* name, const char* summary,
                              Variable (*function)(const Variable&)) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input", .reach = Reach::kLastAxis, .gradient = Reads{"output"}}},
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

void check_last_is_not_positions(const OpDef& op, const Variable& x) {
  check(!x.mask().defined() || x.rank() > 2, op.name.c_str(),
        "would read masked positions of {}; use masked_softmax, or drop_mask() on purpose",
        x.shape());
}

}  // namespace

// dx = y (g - sum_k g_k y_k)
Variable softmax(const Variable& x) {
  check_defined(kSoftmax, {&x});
  check_last_is_not_positions(kSoftmax, x);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  for_each_row(kSoftmax, x.value(), [&]<class T>(T, std::int64_t at, std::int64_t n) {
    softmax_row<T>(x.value().data<T>() + at, nullptr, y.data<T>() + at, n);
  });
  const Saved saved(kSoftmax, "output", y);
  return record(kSoftmax, {&x}, std::move(y), [saved](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const Tensor& output = *saved;
    for_each_row(kSoftmax, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
      softmax_gradient_row<T>(nullptr, output.data<T>() + at, g.data<T>() + at, dx.data<T>() + at,
                              n);
    });
  });
}

// dx = g - softmax(x) sum_k g_k
Variable log_softmax(const Variable& x) {
  check_defined(kLogSoftmax, {&x});
  check_last_is_not_positions(kLogSoftmax, x);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  for_each_row(kLogSoftmax, x.value(), [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T* in = x.value().data<T>() + at;
    T* row = y.data<T>() + at;
    const auto [top, sum] = exp_row<T>(in, nullptr, row, n);
    const T log_sum = std::log(sum);
    // In this order, or a large top swallows the logarithm.
    for (std::int64_t j = 0; j < n; ++j) row[j] = (in[j] - top) - log_sum;
  });
  const Saved saved(kLogSoftmax, "output", y);
  return record(kLogSoftmax, {&x}, std::move(y), [saved](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const Tensor& output = *saved;
    for_each_row(kLogSoftmax, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
      const T* grad = g.data<T>() + at;
      T* row = dx.data<T>() + at;
      const T sum = row_sum(grad, n);
      row_exp(output.data<T>() + at, T{}, row, n);
      for (std::int64_t j = 0; j < n; ++j) row[j] = grad[j] - row[j] * sum;
    });
  });
}

}  // namespace maskgrad::ops
