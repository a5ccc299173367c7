#include <algorithm>
#include <cmath>

#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/functors/norm_rules.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/norm_common.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
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

// Which places of a tensor count: those of a bool tensor of its shape, the positions of a sequence
// mask, or all.
class Kept {
 public:
  explicit Kept(Tensor elements) : elements_(std::move(elements)) {}
  Kept(const SequenceMask& mask, const Shape& shape) : positions_(mask, shape) {}

  /// Calls f(keep), where keep[j] tells of element j of the row that begins at element `at`.
  template <class F>
  void with_row(std::int64_t at, F f) const {
    if (elements_.defined()) return f(elements_.data<bool>() + at);
    if (positions_[at]) return f(All());
    f(None());
  }

  /// Marks of this shape, false at what does not count.
  Tensor among(const Tensor& marked) const {
    return elements_.defined() ? both(marked, elements_) : without_holes(marked, positions_.mask());
  }

  /// g, the gradient of a result that carries the same sequence mask, with 0 at what does not
  /// count. The tape has dropped what came to the holes of the mask.
  Tensor of_gradient(const char* name, const Tensor& g) const {
    if (!elements_.defined()) return g;
    return map_elements(name, functors::KeepWhere<>(), g, Conditions{elements_});
  }

 private:
  struct All {
    bool operator[](std::int64_t) const { return true; }
  };
  struct None {
    bool operator[](std::int64_t) const { return false; }
  };

  Tensor elements_;
  KeptPlaces positions_;
};

// What is kept of one row.
template <class Keep>
double count_of(const Keep& keep, std::int64_t n) {
  std::int64_t count = 0;
  for (std::int64_t j = 0; j < n; ++j) count += keep[j];
  return static_cast<double>(std::max<std::int64_t>(1, count));
}

template <class T, class Keep>
functors::Normalise statistics(const T* x, const Keep& keep, std::int64_t n, double eps) {
  const double count = count_of(keep, n);
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
template <class T, class Keep>
void gradient_row(const T* g, const T* xhat, const T* weight, const Keep& keep, double rstd, T* dx,
                  std::int64_t n) {
  const double count = count_of(keep, n);
  const auto term = [&](std::int64_t j) { return keep[j] ? weight[j] * g[j] : T{}; };
  const double sum =
      sum_terms<double>(n, [&](std::int64_t j) { return static_cast<double>(term(j)); });
  const double dot = sum_terms<double>(n, [&](std::int64_t j) {
    return static_cast<double>(term(j)) * static_cast<double>(xhat[j]);
  });
  const functors::NormGradient rule{sum / count, dot / count, rstd};
  for (std::int64_t j = 0; j < n; ++j) dx[j] = keep[j] ? rule(weight[j] * g[j], xhat[j]) : T{};
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

// The output, the normalised input, and 1 / sqrt(var + eps) of each row.
struct Normalised {
  Tensor y, xhat, rstd;
};

Normalised normalise(const OpDef& op, const Tensor& x, const Kept& kept, const Tensor& weight,
                     const Tensor& bias, double eps) {
  Normalised result{Tensor::empty(x.shape(), x.dtype(), x.device()),
                    Tensor::empty(x.shape(), x.dtype(), x.device()),
                    Tensor::empty({rows_of(op, x).count}, DType::kFloat64, x.device())};
  for_each_row(op, x, [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T *in = x.data<T>() + at, *w = weight.data<T>(), *b = bias.data<T>();
    T *xhat = result.xhat.data<T>() + at, *y = result.y.data<T>() + at;
    kept.with_row(at, [&](const auto& keep) {
      const functors::Normalise rule = statistics(in, keep, n, eps);
      constexpr functors::ScaleAndShift kShift;
      for (std::int64_t j = 0; j < n; ++j) {
        xhat[j] = keep[j] ? rule(in[j]) : T{};
        y[j] = keep[j] ? kShift(xhat[j], w[j], b[j]) : T{};
      }
      result.rstd.data<double>()[at / n] = rule.rstd;
    });
  });
  return result;
}

// dw = sum of g xhat over rows, db = sum of g, over the kept features
void gradients(const OpDef& op, const Tensor& g, const Tensor& xhat, const Tensor& rstd,
               const Kept& kept, const Tensor& weight, Gradients& grads) {
  if (grads.needed(0)) {
    Tensor dx = grads.buffer(0);
    for_each_row(op, g, [&]<class T>(T, std::int64_t at, std::int64_t n) {
      kept.with_row(at, [&](const auto& keep) {
        gradient_row(g.data<T>() + at, xhat.data<T>() + at, weight.data<T>(), keep,
                     rstd.data<double>()[at / n], dx.data<T>() + at, n);
      });
    });
  }
  if (!grads.needed(1) && !grads.needed(2)) return;
  const Tensor of_bias = kept.of_gradient(op.name.c_str(), g);
  if (grads.needed(1)) {
    Tensor sums = grads.buffer(1);
    sum_products_into(op, of_bias, xhat, sums);
  }
  if (grads.needed(2)) {
    Tensor sums = grads.buffer(2);
    sum_into(op.name.c_str(), of_bias, sums);
  }
}

// keep: the bits that `kept` is made from, or undefined.
Variable normalised_over(const OpDef& op, const Variable& x, const Kept& kept, const Tensor& keep,
                         const Variable& weight, const Variable& bias, double eps) {
  Normalised normalised = normalise(op, x.value(), kept, weight.value(), bias.value(), eps);
  const auto rule = [&op, kept, xhat = normalised.xhat, rstd = normalised.rstd,
                     w = Saved(op, "weight", weight.value())](const Tensor& g, Gradients& grads) {
    gradients(op, g, xhat, rstd, kept, *w, grads);
  };
  const auto reached = [kept](std::size_t input, const Tensor& marked, const Way& way) {
    const Reach reach = input == 0 ? Reach::kLastAxis : Reach::kElement;
    const bool before = input == 0 || way.back, after = input == 0 || !way.back;
    const Tensor spread_out = spread(reach, before ? kept.among(marked) : marked, way);
    return after ? kept.among(spread_out) : spread_out;
  };
  return record(op, {&x, &weight, &bias}, std::move(normalised.y), with_reach(rule, reached),
                {{"mask", keep}, {"eps", eps}});
}

}  // namespace

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps) {
  check_defined(kLayerNorm, {&x, &weight, &bias});
  check_shapes(kLayerNorm, x, weight, bias);
  check_eps(kLayerNorm, eps, x.dtype());
  check_no_masked_features(kLayerNorm, x, "use masked_layer_norm, or drop_mask() on purpose");
  return normalised_over(kLayerNorm, x, Kept(x.mask(), x.shape()), Tensor(), weight, bias, eps);
}

Variable masked_layer_norm(const Variable& x, const Tensor& keep, const Variable& weight,
                           const Variable& bias, double eps) {
  check_defined(kMaskedLayerNorm, {&x, &weight, &bias});
  check_defined(kMaskedLayerNorm, "mask", keep);
  check_shapes(kMaskedLayerNorm, x, weight, bias);
  check_eps(kMaskedLayerNorm, eps, x.dtype());
  return normalised_over(kMaskedLayerNorm, x, Kept(kept_elements("masked_layer_norm", x, keep)),
                         keep, weight, bias, eps);
}

}  // namespace maskgrad::ops
