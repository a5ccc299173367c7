#include <limits>

#include <maskgrad/ops/cpu/rows/softmax_rows.hpp>
#include <maskgrad/ops/math/broadcast_plan.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/nn/softmax_kernels.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/mask/runs.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& register_masked(const char* name, const char* summary,
                             Variable (*function)(const Variable&, const Tensor&)) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads{"output"}},
                 mask_input(Reach::kLastAxis)},
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

// Which places of each row of x are kept. A mask that broadcasts over rows is not repeated for
// them, and a run of kept places is computed as a row of its own: the less is kept, the less it
// costs.
class RowMask {
 public:
  // What the mask of x leaves out does not count either.
  RowMask(const OpDef& op, const Variable& x, const Tensor& keep) : shape_(x.shape()) {
    check_defined(op, {&x});
    check_defined(op, "mask", keep);
    check_mask_fits(op.name.c_str(), keep, x.shape());
    check(x.rank() >= 1, op.name.c_str(), "needs at least one dimension");
    check(x.dim(-1) <= std::numeric_limits<std::int32_t>::max(), op.name.c_str(),
          "rows of {} places are too long", x.dim(-1));
    // Where the last dimension is positions, holes are places of a row; else they are rows.
    const bool holes_in_rows = x.mask().defined() && x.rank() == 2;
    const bool whole_rows = keep.rank() >= 1 && keep.dim(-1) == x.dim(-1);
    kept_.bits = holes_in_rows ? kept_elements(op.name.c_str(), x, keep)
                 : whole_rows  ? keep.clone()  // the caller may write to his own
                               : expand(keep, x.shape());
    find_rows(holes_in_rows ? SequenceMask() : x.mask());
    find_runs();
    there_ = kept_.to(x.device());
  }

  // Where x is.
  const KeptOfRows& there() const { return there_; }

  // Calls f(bits, first, count) for the part of row `at / n` that is worth computing: the only run
  // of kept places, of which all are (bits is nullptr), or the whole row. Writes 0 to the rest of
  // y.
  template <class T, class F>
  void on_kept(std::int64_t at, std::int64_t n, T* y, F f) const {
    const std::int64_t row =
        kept_.rows.defined() ? kept_.rows.data<std::int64_t>()[at / n] : at / n;
    const KeyInterval run = row < 0 ? KeyInterval{} : run_of(row);
    if (run.lo < 0) return f(kept_.bits.data<bool>() + row * n, std::int64_t{0}, n);
    std::fill_n(y, run.lo, T{});
    std::fill(y + run.hi, y + n, T{});
    if (!run.empty()) f(nullptr, std::int64_t{run.lo}, std::int64_t{run.hi} - run.lo);
  }

  // A kept place depends on the kept places of its row.
  Tensor reached(const Tensor& marked, const Way& way) const {
    const Tensor keep = without_holes(expand(kept_.bits, shape_), holes_);
    return both(spread(Reach::kLastAxis, both(marked, keep), way), keep);
  }

 private:
  void find_rows(const SequenceMask& holes) {
    if (kept_.bits.shape() == shape_ && !holes.defined()) return;
    holes_ = holes;
    const Shape rows = shape_.slice(0, shape_.rank() - 1),
                own = kept_.bits.shape().slice(0, kept_.bits.rank() - 1);
    kept_.rows = Tensor::empty({rows.numel()}, DType::kInt64);
    auto* to = kept_.rows.data<std::int64_t>();
    BroadcastPlan("masked_softmax", own, rows)
        .for_each_element(
            [to](std::int64_t from, std::int64_t, std::int64_t row) { to[row] = from; });
    if (!holes.defined() || rows.numel() == 0) return;
    const std::int64_t each = rows.numel() / holes.bits().numel();
    for (std::int64_t row = 0; row < rows.numel(); ++row) {
      if (!holes.bits().data<bool>()[row / each]) to[row] = -1;
    }
  }

  void find_runs() {
    const auto n = static_cast<std::int32_t>(shape_.dim(-1));
    const std::int64_t rows = n == 0 ? 0 : kept_.bits.numel() / n;
    kept_.runs = Tensor::empty({rows, 2}, DType::kInt32);
    auto* to = kept_.runs.data<std::int32_t>();
    const bool* row = kept_.bits.data<bool>();
    for (const auto* const end = to + 2 * rows; to != end; to += 2, row += n) {
      const KeyInterval run = next_run(row, 0, n);
      const bool is_one = next_run(row, run.hi, n).empty();
      to[0] = is_one ? run.lo : -1;
      to[1] = is_one ? run.hi : -1;
    }
  }
  KeyInterval run_of(std::int64_t row) const {
    const auto* const run = kept_.runs.data<std::int32_t>() + 2 * row;
    return {run[0], run[1]};
  }

  Shape shape_;
  KeptOfRows kept_, there_;
  SequenceMask holes_;  // rows of x that do not exist
};

// y = forward(x) on what is kept of each row;  dx = backward(y, g) likewise
template <class Forward, class Backward>
Variable by_kept_rows(const OpDef& op, const SoftmaxKernels<KeptOfRows>& kernels, const Variable& x,
                      const Tensor& mask, Forward forward, Backward backward) {
  const RowMask keep(op, x, mask);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const auto on_row = [&]<class T>(T, std::int64_t at, std::int64_t n) {
    const T* in = x.value().data<T>() + at;
    T* out = y.data<T>() + at;
    keep.on_kept(at, n, out, [&](const bool* bits, std::int64_t first, std::int64_t count) {
      forward(in + first, bits, out + first, count);
    });
  };
  for_each_row(op, x.value(), kernels.forward, on_row, x.value(), keep.there(), y);
  const auto rule = [keep, backward, &op, &kernels, saved = Saved(op, "output", y)](
                        const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const Tensor& output = *saved;
    const auto on_row_back = [&]<class T>(T, std::int64_t at, std::int64_t n) {
      const T *out = output.data<T>() + at, *grad = g.data<T>() + at;
      T* row = dx.data<T>() + at;
      keep.on_kept(at, n, row, [&](const bool* bits, std::int64_t first, std::int64_t count) {
        backward(bits, out + first, grad + first, row + first, count);
      });
    };
    for_each_row(op, g, kernels.gradient, on_row_back, output, g, keep.there(), dx);
  };
  return record(op, {&x}, y,
                with_reach(rule, [keep](std::size_t, const Tensor& marked,
                                        const Way& way) { return keep.reached(marked, way); }),
                {{"mask", mask}});
}

}  // namespace

// dx = y (g - sum_k g_k y_k) over the kept places, 0 at the others
Variable masked_softmax(const Variable& x, const Tensor& mask) {
  return by_kept_rows(
      kMaskedSoftmax, kMaskedSoftmaxCuda, x, mask, [](auto... row) { softmax_row(row...); },
      [](auto... row) { softmax_gradient_row(row...); });
}

// dx = g - softmax(x) sum_k g_k over the kept places, 0 at the others
Variable masked_log_softmax(const Variable& x, const Tensor& mask) {
  return by_kept_rows(
      kMaskedLogSoftmax, kMaskedLogSoftmaxCuda, x, mask,
      [](auto... row) { log_softmax_row(row...); },
      [](auto... row) { log_softmax_gradient_row(row...); });
}

}  // namespace maskgrad::ops
