#include <cmath>

#include <maskgrad/ops/norm.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/ops/softmax_rows.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>
#include <maskgrad/tensor/tape.hpp>

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

// Over the kept features of one row, in the order of features.
template <class T>
RowStatistics statistics(const T* x, const bool* keep, std::int64_t n, double eps) {
  double sum = 0, squares = 0;
  std::int64_t count = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    if (!keep[j]) continue;
    sum += static_cast<double>(x[j]);
    ++count;
  }
  const double mean = count ? sum / static_cast<double>(count) : 0.0;
  for (std::int64_t j = 0; j < n; ++j) {
    const double d = keep[j] ? static_cast<double>(x[j]) - mean : 0.0;
    squares += d * d;
  }
  return {mean, 1.0 / std::sqrt((count ? squares / static_cast<double>(count) : 0.0) + eps)};
}

// dx = rstd (w g - mean(w g) - xhat mean(w g xhat)) over the kept features;  dw += g xhat, db += g
template <class T>
void gradient_row(const T* g, const T* xhat, const T* weight, const bool* keep, double rstd, T* dx,
                  T* dw, T* db, std::int64_t n) {
  double sum = 0, dot = 0;
  std::int64_t count = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    if (!keep[j]) continue;
    const auto scaled = static_cast<double>(weight[j] * g[j]);
    sum += scaled;
    dot += scaled * static_cast<double>(xhat[j]);
    dw[j] += g[j] * xhat[j];
    db[j] += g[j];
    ++count;
  }
  const double each = count ? 1.0 / static_cast<double>(count) : 0.0;
  for (std::int64_t j = 0; j < n; ++j) {
    const double d = static_cast<double>(weight[j] * g[j]) - sum * each -
                     static_cast<double>(xhat[j]) * dot * each;
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

// The sums over rows run in the order of rows, on one thread.
void gradients(const OpDef& op, const Tensor& g, const Normalised& normalised, const Tensor& keep,
               const Tensor& weight, const Shape& features, Gradients& grads) {
  const Rows rows = rows_of(op, g);
  Tensor dx = Tensor::empty(g.shape(), g.dtype(), g.device());
  Tensor dw = Tensor::zeros(features, g.dtype()), db = Tensor::zeros(features, g.dtype());
  dispatch_dtype(FloatingTypes{}, g.dtype(), op.name.c_str(), [&]<class T>(T) {
    for (std::int64_t row = 0; row < rows.count; ++row) {
      const std::int64_t at = row * rows.length;
      gradient_row(g.data<T>() + at, normalised.xhat.data<T>() + at, weight.data<T>(),
                   keep.data<bool>() + at, normalised.rstd.data<double>()[row], dx.data<T>() + at,
                   dw.data<T>(), db.data<T>(), rows.length);
    }
  });
  if (grads.needed(0)) grads.set(0, dx);
  if (grads.needed(1)) grads.set(1, dw);
  if (grads.needed(2)) grads.set(2, db);
}

// `keep` of every element; holes of the mask that x carries are no features that count.
Variable normalised_over(const OpDef& op, const Variable& x, const Tensor& keep,
                         const Variable& weight, const Variable& bias, double eps) {
  const Normalised normalised = normalise(op, x.value(), keep, eps);
  const auto rule = [&op, normalised, keep, w = Saved(op, "weight", weight.value())](
                        const Tensor& g, Gradients& grads) {
    gradients(op, g, normalised, keep, *w, w->shape(), grads);
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
  return normalised_over(kMaskedLayerNorm, x, kept_elements("masked_layer_norm", x, keep), weight,
                         bias, eps);
}

}  // namespace maskgrad::ops
