#include <algorithm>

#include <maskgrad/ops/cpu/rows/norm_rows.hpp>
#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/norm_common.hpp>
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

// Which places of a tensor count: those of a bool tensor of its shape, the positions of a sequence
// mask, or all.
class Kept {
 public:
  explicit Kept(Tensor elements) : elements_(std::move(elements)) {}
  Kept(const SequenceMask& mask, const Shape& shape) : positions_(mask, shape) {}

  /// Whether the row that begins at element `at` is at a position that exists.
  bool has_row(std::int64_t at) const { return elements_.defined() || positions_[at]; }
  /// Which of its elements count; nullptr: all.
  const bool* of_row(std::int64_t at) const {
    return elements_.defined() ? elements_.data<bool>() + at : nullptr;
  }

  /// Marks of this shape, false at what does not count.
  Tensor among(const Tensor& marked) const {
    return elements_.defined() ? both(marked, elements_) : without_holes(marked, positions_.mask());
  }

 private:
  Tensor elements_;
  KeptPlaces positions_;
};

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

// The output, and the statistics of each row: float64 [rows, 2].
struct Normalised {
  Tensor y, statistics;
};

Normalised normalise(const OpDef& op, const Tensor& x, const Kept& kept, const Tensor& weight,
                     const Tensor& bias, double eps) {
  Normalised result{Tensor::empty(x.shape(), x.dtype(), x.device()),
                    Tensor::zeros({rows_of(op, x).count, 2}, DType::kFloat64, x.device())};
  for_each_row(op, x, [&]<class T>(T, std::int64_t at, std::int64_t n) {
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
  });
  return result;
}

// How the rows of a value are added: first along the first dimension that has several, in blocks,
// then as sum_into() adds what is left.
struct RowBlocks {
  std::int64_t along = 1, positions = 1, features;
  Shape left;  // [positions ..., features]

  explicit RowBlocks(const Shape& shape) : features(shape[shape.rank() - 1]) {
    int axis = 0;
    while (axis < shape.rank() - 1 && shape[axis] == 1) ++axis;
    const bool is_one = axis == shape.rank() - 1;
    along = features == 0 ? 0 : is_one ? 1 : shape[axis];
    left = shape.slice(is_one ? axis : axis + 1, shape.rank());
    positions = left.slice(0, left.rank() - 1).numel();
  }
  std::int64_t count() const { return (along + kRowsOfBlock - 1) / kRowsOfBlock; }

  /// Calls f(row, sum) for the rows of parts [part, end) of `count() * positions`, each
  /// a position of a block, the rows of each in order.
  template <class F>
  void for_each_row(std::int64_t part, std::int64_t end, F f) const {
    for (std::int64_t next; part < end; part = next) {
      const std::int64_t block = part / positions, first = block * kRowsOfBlock;
      next = std::min(end, (block + 1) * positions);
      for (std::int64_t i = first; i < std::min(first + kRowsOfBlock, along); ++i) {
        for (std::int64_t p = part; p < next; ++p) {
          f(i * positions + p % positions, p);
        }
      }
    }
  }

  /// The sums of all blocks [count(), positions, features], which are used up.
  template <class T>
  void finish(const OpDef& op, Tensor& of_blocks, Tensor& sums) const {
    if (count() == 0) return sums.fill(0.0);
    const std::int64_t size = positions * features;
    if (count() > 1) {
      PairwiseSum<T> tree(size);
      for (std::int64_t i = 0; i < count(); ++i) {
        copy_row(of_blocks.data<T>() + i * size, tree.row(), size);
        tree.add();
      }
      tree.finish(of_blocks.data<T>());
    }
    sum_into(op.name.c_str(), of_blocks.view(0, left), sums);
  }
};

// What the gradients of one call read and write.
struct GradientCall {
  const OpDef& op;
  const Tensor &g, &x, &statistics, &weight;
  const Kept& kept;
  Tensor dx, dweight, dbias;  // undefined where nobody asks

  // dweight = sum of g xhat over rows, dbias = sum of g, over the kept features. All in one pass
  // over the rows.
  template <class T>
  void run() {
    const RowBlocks rows(x.shape());
    const Shape blocks = {rows.count(), rows.positions, rows.features};
    const auto zeros_for = [&](const Tensor& sums) {
      return sums.defined() ? Tensor::zeros(blocks, x.dtype()) : Tensor();
    };
    Tensor of_weight = zeros_for(dweight), of_bias = zeros_for(dbias);
    constexpr std::int64_t kNeighbours = 8;  // positions of a part, which lie side by side
    const std::int64_t least = std::max(kNeighbours, least_for(16, kRowsOfBlock, rows.features));
    parallel_for(blocks[0] * blocks[1], least, [&](std::int64_t part, std::int64_t end) {
      PoolVector<T> spare(static_cast<std::size_t>(dx.defined() ? 0 : rows.features));
      rows.for_each_row(part, end, [&](std::int64_t row, std::int64_t sum) {
        const std::int64_t at = row * rows.features;
        const auto of_sum = [&](Tensor& sums) {
          return sums.defined() ? sums.data<T>() + sum * rows.features : nullptr;
        };
        add_row<T>(at, dx.defined() ? dx.data<T>() + at : spare.data(), of_sum(of_weight),
                   of_sum(of_bias));
      });
    });
    if (dweight.defined()) rows.finish<T>(op, of_weight, dweight);
    if (dbias.defined()) rows.finish<T>(op, of_bias, dbias);
  }

 private:
  // to: the row of dx, or memory for one.
  template <class T>
  void add_row(std::int64_t at, T* to, T* sum_of_weight, T* sum_of_bias) const {
    const std::int64_t n = x.dim(-1);
    if (!kept.has_row(at)) {
      std::fill_n(to, n, T{});
      return;
    }
    const bool* const keep = kept.of_row(at);
    const double* const of_row = statistics.data<double>() + at / n * 2;
    const T* const grad = g.data<T>() + at;
    normalise_row(x.data<T>() + at, keep, n, {of_row[0], of_row[1]}, to);
    add_parameter_gradients(grad, to, keep, n, sum_of_weight, sum_of_bias);
    if (dx.defined()) {
      norm_gradient_row(grad, to, weight.data<T>(), keep, of_row[1], to, n);
    }
  }
};

// keep: the bits that `kept` is made from, or undefined.
Variable normalised_over(const OpDef& op, const Variable& x, const Kept& kept, const Tensor& keep,
                         const Variable& weight, const Variable& bias, double eps) {
  Normalised normalised = normalise(op, x.value(), kept, weight.value(), bias.value(), eps);
  const auto rule = [&op, kept, statistics = normalised.statistics,
                     in = Saved(op, "input", x.value()),
                     w = Saved(op, "weight", weight.value())](const Tensor& g, Gradients& grads) {
    const auto buffer = [&](std::size_t i) { return grads.needed(i) ? grads.buffer(i) : Tensor(); };
    GradientCall call = {op, g, *in, statistics, *w, kept, buffer(0), buffer(1), buffer(2)};
    dispatch_device(g.device(), op.name.c_str(), [&] {
      dispatch_dtype(FloatingTypes{}, g.dtype(), op.name.c_str(),
                     [&]<class T>(T) { call.run<T>(); });
    });
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
