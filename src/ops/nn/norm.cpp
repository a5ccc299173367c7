#include <algorithm>
#include <cmath>

#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kLayerNorm = register_op({
    .name = "layer_norm",
    .summary = "normalised over the last dimension, scaled and shifted",
    .inputs = {{.name = "input", .reach = Reach::kLastAxis, .gradient = Reads{"input", "weight"}},
               {.name = "weight", .reach = Reach::kElement, .gradient = Reads{"input"}},
               {.name = "bias", .reach = Reach::kElement, .gradient = Reads::nothing()}},
    .args = {{"eps", 1e-5}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {layer_norm(call.input("input"), call.input("weight"), call.input("bias"),
                         call.arg<double>("eps"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& shape : {Shape{2, 3, 5}, Shape{17}, Shape{0, 2}}) {
        const Shape features = {shape.dim(-1)};
        samples.push_back({{{"input", sample_uniform(r, shape)},
                            {"weight", sample_uniform(r, features)},
                            {"bias", sample_uniform(r, features)}}});
      }
      return samples;
    },
});

const OpDef& kMaskedLayerNorm = register_op({
    .name = "masked_layer_norm",
    .summary = "normalised over the kept features of the last dimension, 0 at the others",
    .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads{"input", "weight"}},
               {.name = "weight", .reach = Reach::kByCall, .gradient = Reads{"input"}},
               {.name = "bias", .reach = Reach::kByCall, .gradient = Reads::nothing()},
               mask_input(Reach::kLastAxis)},
    .args = {{"eps", 1e-5}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {masked_layer_norm(call.input("input"), call.input("mask").value(),
                                call.input("weight"), call.input("bias"), call.arg<double>("eps"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& keep : {Shape{2, 3, 7}, Shape{7}, Shape{3, 1}}) {
        samples.push_back({{{"input", sample_uniform(r, {2, 3, 7})},
                            {"weight", sample_uniform(r, {7})},
                            {"bias", sample_uniform(r, {7})},
                            {"mask", sample_bits(r, keep, 0.7)}}});
      }
      return samples;
    },
});

struct RowStatistics {
  double mean, rstd;
};

// Over the kept features of one row.
template <class T>
RowStatistics statistics(const T* x, const bool* keep, std::int64_t n, double eps) {
  const auto count =
      static_cast<double>(std::max<std::int64_t>(1, std::count(keep, keep + n, true)));
  const auto mean_of = [&](auto term) {
    return sum_terms<double>(
               n, [&](std::int64_t j) { return keep[j] ? term(static_cast<double>(x[j])) : 0.0; }) /
           count;
  };
  const double mean = mean_of([](double e) { return e; });
  const double variance = mean_of([mean](double e) { return (e - mean) * (e - mean); });
  return {mean, 1.0 / std::sqrt(variance + eps)};
}

// dx = rstd (w g - xhat mean(w g xhat) - mean(w g)) over the kept features
template <class T>
void gradient_row(const T* g, const T* xhat, const T* weight, const bool* keep, double rstd, T* dx,
                  std::int64_t n) {
  const auto count =
      static_cast<double>(std::max<std::int64_t>(1, std::count(keep, keep + n, true)));
  const auto scaled = [&](std::int64_t j) { return static_cast<double>(weight[j] * g[j]); };
  const double sum =
      sum_terms<double>(n, [&](std::int64_t j) { return keep[j] ? scaled(j) : 0.0; });
  const double dot = sum_terms<double>(
      n, [&](std::int64_t j) { return keep[j] ? scaled(j) * static_cast<double>(xhat[j]) : 0.0; });
  for (std::int64_t j = 0; j < n; ++j) {
    const double d = scaled(j) - sum / count - static_cast<double>(xhat[j]) * (dot / count);
    dx[j] = keep[j] ? static_cast<T>(rstd * d) : T{};
  }
}

void check_shapes(const OpDef& op, const Variable& x, const Variable& weight,
                  const Variable& bias) {
  const char* name = op.name.c_str();
  check(x.rank() >= 1, name, "needs at least one dimension");
  const Shape features = {x.dim(-1)};
  check(weight.shape() == features && bias.shape() == features, name,
        "weight {} and bias {} must be {}, the last dimension of the input", weight.shape(),
        bias.shape(), features);
  check(weight.dtype() == x.dtype() && bias.dtype() == x.dtype(), name,
        "the input is {}, weight {}, bias {}: they must be the same", to_string(x.dtype()),
        to_string(weight.dtype()), to_string(bias.dtype()));
}

void check_eps(const OpDef& op, double eps, DType dtype) {
  const double value = real_argument(op, "eps", eps, dtype);
  check(value >= 0 && std::isfinite(value), op.name.c_str(),
        "eps must be finite and at least 0, got {}", value);
}

// The normalised input, and 1 / sqrt(var + eps) of each row.
struct Normalised {
  Tensor xhat, rstd;
};

Normalised normalise(const OpDef& op, const Tensor& x, const Tensor& keep, double eps) {
  const Rows rows = rows_of(op, x);
  Normalised result{Tensor::empty(x.shape(), x.dtype(), x.device()),
                    Tensor::empty({rows.count}, DType::kFloat64)};
  for_each_row(op, x, [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T* in = x.data<T>() + at;
    const bool* kept = keep.data<bool>() + at;
    const RowStatistics s = statistics(in, kept, n, eps);
    T* out = result.xhat.data<T>() + at;
    for (std::int64_t j = 0; j < n; ++j) {
      out[j] = kept[j] ? static_cast<T>((static_cast<double>(in[j]) - s.mean) * s.rstd) : T{};
    }
    result.rstd.data<double>()[at / n] = s.rstd;
  });
  return result;
}

Tensor scale_and_shift(const OpDef& op, const Tensor& xhat, const Tensor& keep,
                       const Tensor& weight, const Tensor& bias) {
  Tensor y = Tensor::empty(xhat.shape(), xhat.dtype(), xhat.device());
  for_each_row(op, xhat, [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T *in = xhat.data<T>() + at, *w = weight.data<T>(), *b = bias.data<T>();
    const bool* kept = keep.data<bool>() + at;
    T* out = y.data<T>() + at;
    for (std::int64_t j = 0; j < n; ++j) out[j] = kept[j] ? in[j] * w[j] + b[j] : T{};
  });
  return y;
}

// dw = sum of g xhat over rows, db = sum of g, over the kept features
void gradients(const OpDef& op, const Tensor& g, const Normalised& normalised, const Tensor& keep,
               const Tensor& weight, Gradients& grads) {
  const auto like_g = [&] { return Tensor::empty(g.shape(), g.dtype(), g.device()); };
  Tensor dx = grads.needed(0) ? grads.buffer(0) : like_g();
  Tensor of_weight = like_g(), of_bias = like_g();
  for_each_row(op, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T *grad = g.data<T>() + at, *xhat = normalised.xhat.data<T>() + at;
    const bool* kept = keep.data<bool>() + at;
    gradient_row(grad, xhat, weight.data<T>(), kept, normalised.rstd.data<double>()[at / n],
                 dx.data<T>() + at, n);
    T *dw = of_weight.data<T>() + at, *db = of_bias.data<T>() + at;
    for (std::int64_t j = 0; j < n; ++j) {
      db[j] = kept[j] ? grad[j] : T{};
      dw[j] = kept[j] ? grad[j] * xhat[j] : T{};
    }
  });
  for (const std::size_t i : {1u, 2u}) {
    if (!grads.needed(i)) continue;
    Tensor sums = grads.buffer(i);
    sum_into(op.name.c_str(), i == 1 ? of_weight : of_bias, sums);
  }
}

// `keep` of every element; holes of the mask that x carries are no features that count.
Variable normalised_over(const OpDef& op, const Variable& x, const Tensor& keep,
                         const Variable& weight, const Variable& bias, double eps) {
  const Normalised normalised = normalise(op, x.value(), keep, eps);
  const auto rule = [&op, normalised, keep, w = Saved(op, "weight", weight.value())](
                        const Tensor& g, Gradients& grads) {
    gradients(op, g, normalised, keep, *w, grads);
  };
  const auto reached = [keep](std::size_t input, const Tensor& marked, const Way& way) {
    if (input == 0) return both(spread(Reach::kLastAxis, both(marked, keep), way), keep);
    return way.back ? spread(Reach::kElement, both(marked, keep), way)
                    : both(spread(Reach::kElement, marked, way), keep);
  };
  return record(op, {&x, &weight, &bias},
                scale_and_shift(op, normalised.xhat, keep, weight.value(), bias.value()),
                with_reach(rule, reached));
}

}  // namespace

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps) {
  check_defined(kLayerNorm, {&x, &weight, &bias});
  check_shapes(kLayerNorm, x, weight, bias);
  check_eps(kLayerNorm, eps, x.dtype());
  check(!x.mask().defined() || x.rank() > 2, "layer_norm",
        "would read masked positions of {}; use masked_layer_norm, or drop_mask() on purpose",
        x.shape());
  const Tensor all = Tensor::full(x.shape(), 1, DType::kBool);
  return normalised_over(kLayerNorm, x, without_holes(all, x.mask()), weight, bias, eps);
}

Variable masked_layer_norm(const Variable& x, const Tensor& keep, const Variable& weight,
                           const Variable& bias, double eps) {
  check_defined(kMaskedLayerNorm, {&x, &weight, &bias});
  check_defined(kMaskedLayerNorm, "mask", keep);
  check_shapes(kMaskedLayerNorm, x, weight, bias);
  check_eps(kMaskedLayerNorm, eps, x.dtype());
  return normalised_over(kMaskedLayerNorm, x, kept_elements("masked_layer_norm", x, keep), weight,
                         bias, eps);
}

}  // namespace maskgrad::ops
