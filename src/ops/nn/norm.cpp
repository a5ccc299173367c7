#include <algorithm>

#include <maskgrad/ops/cpu/rows/norm_rows.hpp>
#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/norm_common.hpp>
#include <maskgrad/ops/nn/norm_kernels.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
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

LayerNormOutput normalise(const OpDef& op, const LayerNormKernels& kernels, const Tensor& x,
                          const KeptOfNorm& kept, const Tensor& weight, const Tensor& bias,
                          double eps) {
  LayerNormOutput result{Tensor::empty(x.shape(), x.dtype(), x.device()),
                         Tensor::zeros({rows_of(op, x).count, 2}, DType::kFloat64, x.device())};
  const auto on_row = [&]<class T>(T, std::int64_t at, std::int64_t n) {
    T* const y = result.y.data<T>() + at;
    if (!kept.has_row(at)) {
      std::fill_n(y, n, T{});
      return;
    }
    const T* const in = x.data<T>() + at;
    const bool* const keep = kept.of_row(at);
    const RowStatistics of_row = statistics_of(in, keep, n, eps);
    normalise_row(in, keep, n, of_row, y);
    scale_and_shift_row(y, weight.data<T>(), bias.data<T>(), keep, n, y);
    double* const statistics = result.statistics.data<double>() + at / n * 2;
    statistics[0] = of_row.mean;
    statistics[1] = of_row.rstd;
  };
  for_each_row(op, x, kernels.forward, on_row, x, kept, weight, bias, eps, result);
  return result;
}

// The sums of all blocks [blocks, positions, features], which are used up.
template <class T>
void finish(const OpDef& op, const RowBlocks& rows, Tensor& of_blocks, Tensor& sums) {
  if (rows.count() == 0) return sums.fill(0.0);
  const std::int64_t size = rows.positions * rows.features;
  if (rows.count() > 1) {
    PairwiseSum<T> tree(size);
    for (std::int64_t i = 0; i < rows.count(); ++i) {
      copy_row(of_blocks.data<T>() + i * size, tree.row(), size);
      tree.add();
    }
    tree.finish(of_blocks.data<T>());
  }
  sum_into(op.name.c_str(), of_blocks.view(0, rows.left), sums);
}

// xhat: the row of dx, or memory for one.
template <class T>
void add_row(const LayerNormGradient& call, std::int64_t at, T* xhat, T* sum_of_weight,
             T* sum_of_bias) {
  const std::int64_t n = call.x.dim(-1);
  if (!call.kept.has_row(at)) {
    std::fill_n(xhat, n, T{});
    return;
  }
  const bool* const keep = call.kept.of_row(at);
  const double* const of_row = call.statistics.data<double>() + at / n * 2;
  const T* const grad = call.g.data<T>() + at;
  normalise_row(call.x.data<T>() + at, keep, n, {of_row[0], of_row[1]}, xhat);
  add_parameter_gradients(grad, xhat, keep, n, sum_of_weight, sum_of_bias);
  if (call.dx.defined()) {
    norm_gradient_row(grad, xhat, call.weight.data<T>(), keep, of_row[1], xhat, n);
  }
}

// dweight = sum of g xhat over rows, dbias = sum of g, over the kept features. All in one pass
// over the rows.
template <class T>
void set_gradients(const OpDef& op, LayerNormGradient& call) {
  const RowBlocks rows(call.x.shape());
  const Shape blocks = {rows.count(), rows.positions, rows.features};
  const auto zeros_for = [&](const Tensor& sums) {
    return sums.defined() ? Tensor::zeros(blocks, call.x.dtype()) : Tensor();
  };
  Tensor of_weight = zeros_for(call.dweight), of_bias = zeros_for(call.dbias);
  constexpr std::int64_t kNeighbours = 8;  // positions of a part, which lie side by side
  const std::int64_t least = std::max(kNeighbours, least_for(16, kRowsOfBlock, rows.features));
  parallel_for(blocks[0] * blocks[1], least, [&](std::int64_t part, std::int64_t end) {
    PoolVector<T> spare(static_cast<std::size_t>(call.dx.defined() ? 0 : rows.features));
    rows.for_each_row(part, end, [&](std::int64_t row, std::int64_t sum) {
      const std::int64_t at = row * rows.features;
      const auto of_sum = [&](Tensor& sums) {
        return sums.defined() ? sums.data<T>() + sum * rows.features : nullptr;
      };
      add_row<T>(call, at, call.dx.defined() ? call.dx.data<T>() + at : spare.data(),
                 of_sum(of_weight), of_sum(of_bias));
    });
  });
  if (call.dweight.defined()) finish<T>(op, rows, of_weight, call.dweight);
  if (call.dbias.defined()) finish<T>(op, rows, of_bias, call.dbias);
}

// keep: the bits that `kept` is made from, or undefined.
Variable normalised_over(const OpDef& op, const LayerNormKernels& kernels, const Variable& x,
                         const KeptOfNorm& kept, const Tensor& keep, const Variable& weight,
                         const Variable& bias, double eps) {
  LayerNormOutput normalised =
      normalise(op, kernels, x.value(), kept, weight.value(), bias.value(), eps);
  const auto rule = [&op, &kernels, kept, statistics = normalised.statistics,
                     in = Saved(op, "input", x.value()),
                     w = Saved(op, "weight", weight.value())](const Tensor& g, Gradients& grads) {
    const auto buffer = [&](std::size_t i) { return grads.needed(i) ? grads.buffer(i) : Tensor(); };
    LayerNormGradient call = {g, *in, statistics, *w, kept, buffer(0), buffer(1), buffer(2)};
    const auto on_cpu = [&] {
      dispatch_dtype(FloatingTypes{}, g.dtype(), op.name.c_str(),
                     [&]<class T>(T) { set_gradients<T>(op, call); });
    };
    dispatch_device(g.device(), op.name.c_str(), kernels.gradient, on_cpu, call);
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
  return normalised_over(kLayerNorm, kLayerNormCuda, x, KeptOfNorm(x.mask(), x.shape()), Tensor(),
                         weight, bias, eps);
}

Variable masked_layer_norm(const Variable& x, const Tensor& keep, const Variable& weight,
                           const Variable& bias, double eps) {
  check_defined(kMaskedLayerNorm, {&x, &weight, &bias});
  check_defined(kMaskedLayerNorm, "mask", keep);
  check_shapes(kMaskedLayerNorm, x, weight, bias);
  check_eps(kMaskedLayerNorm, eps, x.dtype());
  return normalised_over(kMaskedLayerNorm, kMaskedLayerNormCuda, x,
                         KeptOfNorm(kept_elements("masked_layer_norm", x, keep), x.device()), keep,
                         weight, bias, eps);
}

}  // namespace maskgrad::ops
