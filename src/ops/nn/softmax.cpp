#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/nn/softmax_kernels.hpp>
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

// y = forward(x) on each row;  dx = backward(y, g) likewise
template <class Forward, class Backward>
Variable by_rows(const OpDef& op, const SoftmaxKernels<AllOfRows>& kernels, const Variable& x,
                 Forward forward, Backward backward) {
  check_defined(op, {&x});
  check_last_is_not_positions(op, x);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const auto on_row = [&]<class T>(T, std::int64_t at, std::int64_t n) {
    forward(x.value().data<T>() + at, nullptr, y.data<T>() + at, n);
  };
  for_each_row(op, x.value(), kernels.forward, on_row, x.value(), AllOfRows(), y);
  const auto rule = [&op, &kernels, backward, saved = Saved(op, "output", y)](const Tensor& g,
                                                                              Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const Tensor& output = *saved;
    const auto on_row_back = [&]<class T>(T, std::int64_t at, std::int64_t n) {
      backward(nullptr, output.data<T>() + at, g.data<T>() + at, dx.data<T>() + at, n);
    };
    for_each_row(op, g, kernels.gradient, on_row_back, output, g, AllOfRows(), dx);
  };
  return record(op, {&x}, std::move(y), rule);
}

}  // namespace

// dx = y (g - sum_k g_k y_k)
Variable softmax(const Variable& x) {
  return by_rows(
      kSoftmax, kSoftmaxCuda, x, [](auto... row) { softmax_row(row...); },
      [](auto... row) { softmax_gradient_row(row...); });
}

// dx = g - softmax(x) sum_k g_k
Variable log_softmax(const Variable& x) {
  return by_rows(
      kLogSoftmax, kLogSoftmaxCuda, x, [](auto... row) { log_softmax_row(row...); },
      [](auto... row) { log_softmax_gradient_row(row...); });
}

}  // namespace maskgrad::ops
