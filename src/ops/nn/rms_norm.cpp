#include <algorithm>
#include <cmath>

#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/functors/norm_rules.hpp>
#include <maskgrad/ops/nn/norm_common.hpp>
#include <maskgrad/ops/nn/norm_kernels.hpp>
#include <maskgrad/ops/nn/rms_norm.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kRmsNorm = register_op({
    .name = "rms_norm",
    .summary = "divided by the root mean square over the last dimension, scaled",
    .inputs = {{.name = "input", .reach = Reach::kLastAxis, .gradient = Reads{"input", "weight"}},
               {.name = "weight", .reach = Reach::kElement, .gradient = Reads{"input"}}},
    .args = {{"eps", 1e-6}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {rms_norm(call.input("input"), call.input("weight"), call.arg<double>("eps"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& shape : {Shape{2, 3, 5}, Shape{17}, Shape{0, 2}}) {
        samples.push_back({{{"input", sample_uniform(r, shape)},
                            {"weight", sample_uniform(r, {shape.dim(-1)})}}});
      }
      samples.push_back({{{"input", sample_uniform(r, {3, 4})}, {"weight", sample_uniform(r, {4})}},
                         {{"eps", 0.5}}});
      return samples;
    },
});

void check_shapes(const Variable& x, const Variable& weight) {
  check(x.rank() >= 1, "rms_norm", "needs at least one dimension");
  const Shape features = {x.dim(-1)};
  check(weight.shape() == features, "rms_norm",
        "weight {} must be {}, the last dimension of the input", weight.shape(), features);
  check(weight.dtype() == x.dtype(), "rms_norm",
        "the input is {}, weight {}: they must be the same", to_string(x.dtype()),
        to_string(weight.dtype()));
}

// mean((factor x)^2)
template <class T>
double mean_square(const T* x, std::int64_t n, double factor) {
  const auto square = [=](std::int64_t j) {
    const double scaled = factor * static_cast<double>(x[j]);
    return math::product(scaled, scaled);
  };
  return sum_terms<double>(n, square) / static_cast<double>(n);
}

// 1 / sqrt(mean(x^2) + eps)
template <class T>
double inverse_root_of(const T* x, std::int64_t n, double eps) {
  const double square = mean_square(x, n, 1) + eps;
  if (std::isfinite(square) && square > 0x1p-900) return 1 / std::sqrt(square);
  // Squares overflow, or are denormal: those of numbers nearer to 1 have all their digits.
  const double factor = square > 1 ? 0x1p-600 : 0x1p600;
  return factor / std::sqrt(mean_square(x, n, factor) + eps * factor * factor);
}

// Writes the output to y.
RmsNormSaved normalise(const Tensor& x, const KeptPlaces& kept, const Tensor& weight, double eps,
                       Tensor& y) {
  RmsNormSaved saved{Tensor::empty(x.shape(), x.dtype(), x.device()),
                     Tensor::empty({rows_of(kRmsNorm, x).count}, DType::kFloat64, x.device())};
  const auto on_row = [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T *in = x.data<T>() + at, *w = weight.data<T>();
    T *xhat = saved.xhat.data<T>() + at, *to = y.data<T>() + at;
    double& inverse_root = saved.inverse_roots.data<double>()[at / n];
    if (!kept[at]) {
      std::fill_n(xhat, n, T{});
      std::fill_n(to, n, T{});
      inverse_root = 0;
      return;
    }
    inverse_root = inverse_root_of(in, n, eps);
    const functors::Normalise rule{0, inverse_root};
    for (std::int64_t j = 0; j < n; ++j) {
      xhat[j] = rule(in[j]);
      to[j] = xhat[j] * w[j];
    }
  };
  for_each_row(kRmsNorm, x, kRmsNormCuda, on_row, x, kept.mask(), weight, eps, y, saved);
  return saved;
}

// dx = (w g - xhat mean(w g xhat)) / sqrt(mean(x^2) + eps)
template <class T>
void gradient_row(const T* g, const T* xhat, const T* weight, double inverse_root, T* dx,
                  std::int64_t n) {
  const double dot = sum_terms<double>(n, [&](std::int64_t j) {
    return math::product(static_cast<double>(weight[j] * g[j]), static_cast<double>(xhat[j]));
  });
  const functors::NormGradient rule{0, dot / static_cast<double>(n), inverse_root};
  for (std::int64_t j = 0; j < n; ++j) dx[j] = rule(weight[j] * g[j], xhat[j]);
}

// g is 0 in the holes, where nothing is read.
void set_input_gradient(const Tensor& g, const RmsNormSaved& saved, const KeptPlaces& kept,
                        const Tensor& weight, Tensor& dx) {
  const auto on_row = [&]<class T>(T, std::int64_t at, std::int64_t n) {
    T* const to = dx.data<T>() + at;
    if (!kept[at]) {
      std::fill_n(to, n, T{});
      return;
    }
    gradient_row(g.data<T>() + at, saved.xhat.data<T>() + at, weight.data<T>(),
                 saved.inverse_roots.data<double>()[at / n], to, n);
  };
  for_each_row(kRmsNorm, g, kRmsNormGradientCuda, on_row, g, saved, kept.mask(), weight, dx);
}

}  // namespace

// dw = sum of g xhat over rows
Variable rms_norm(const Variable& x, const Variable& weight, double eps) {
  check_defined(kRmsNorm, {&x, &weight});
  check_shapes(x, weight);
  check_eps(kRmsNorm, eps, x.dtype());
  check_no_masked_features(kRmsNorm, x, "drop_mask() on purpose");
  const KeptPlaces kept(x.mask(), x.shape());
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const RmsNormSaved saved = normalise(x.value(), kept, weight.value(), eps, y);
  const auto rule = [kept, saved, w = Saved(kRmsNorm, "weight", weight.value())](const Tensor& g,
                                                                                 Gradients& grads) {
    if (grads.needed(0)) {
      Tensor dx = grads.buffer(0);
      set_input_gradient(g, saved, kept, *w, dx);
    }
    if (grads.needed(1)) {
      Tensor sums = grads.buffer(1);
      sum_products_into(kRmsNorm, g, saved.xhat, sums);
    }
  };
  return record(kRmsNorm, {&x, &weight}, std::move(y), rule, {{"eps", eps}});
}

}  // namespace maskgrad::ops
