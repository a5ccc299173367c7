#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kKeepWhere = register_op({
    .name = "keep_where",
    .summary = "the input where the mask is true, fill elsewhere",
    .inputs = {{.name = "input",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny},
               mask_input(Reach::kElement)},
    .args = {{"fill", Scalar(0.0)}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {
          keep_where(call.input("input"), call.input("mask").value(), call.arg<Scalar>("fill"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& keep : {Shape{2, 3, 4}, Shape{3, 1}, Shape{}, Shape{2, 3, 1}}) {
        samples.push_back(
            {{{"input", sample_uniform(r, {2, 3, 4})}, {"mask", sample_bits(r, keep)}},
             {{"fill", Scalar(-2.5)}}});
      }
      return samples;
    },
});

Tensor select(const Tensor& x, const Tensor& keep, Scalar fill) {
  check_mask_fits("keep_where", keep, x.shape());
  const BroadcastPlan plan("keep_where", x.shape(), keep.shape());
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch_device(x.device(), "keep_where", [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "keep_where", [&]<class T>(T) {
      const functors::KeepWhere<T> rule{fill.to<T>("keep_where", "fill")};
      zip_all(plan, y.data<T>(), rule, x.data<T>(), keep.data<bool>());
    });
  });
  return y;
}

// x with `fill` in the holes of `mask`, carrying `carried`.
// dx = g: either x or y carries the mask, so the tape drops what comes to its holes.
Variable fill_and_carry(const char* name, const Variable& x, const SequenceMask& mask, Scalar fill,
                        const SequenceMask& carried) {
  fill.check_fits(name, "fill", x.dtype());
  // A layer before may have filled them already, and what nobody masks any more nobody writes to.
  const bool is_filled = !carried.defined() && holes_hold(x.value(), mask, fill);
  Tensor y = is_filled ? x.value() : x.value().clone();
  if (!is_filled) fill_holes(y, mask, fill);
  const auto rule = [](const Tensor& g, Gradients& grads) { grads.set(0, g); };
  const auto reached = [mask](std::size_t, const Tensor& marked, const Way&) {
    return without_holes(marked, mask);
  };
  return record(kKeepWhere, {&x}, std::move(y), carried, with_reach(rule, reached));
}

// a and b with 0 at their own holes, both carrying `mask`; without one where no position is
// missing.
CommonMask carry(const Variable& a, const Variable& b, const SequenceMask& mask) {
  return {with_mask(fill_masked(a), mask), with_mask(fill_masked(b), mask)};
}

}  // namespace

// dx = g where keep, 0 elsewhere
Variable keep_where(const Variable& x, const Tensor& mask, Scalar fill) {
  check_defined(kKeepWhere, {&x});
  check_defined(kKeepWhere, "mask", mask);
  Tensor y = select(x.value(), mask, fill);
  const Saved keep(kKeepWhere, "mask", mask);
  return record(
      kKeepWhere, {&x}, std::move(y),
      with_reach([keep](const Tensor& g, Gradients& grads) { grads.set(0, select(g, *keep, 0.0)); },
                 [keep](std::size_t, const Tensor& marked, const Way&) {
                   return both(marked, expand(*keep, marked.shape()));
                 }));
}

Variable with_mask(const Variable& x, const SequenceMask& mask, Scalar fill) {
  check_given(x.defined(), "with_mask", "the input");
  if (!mask.defined()) return x;
  check(!x.mask().defined() || x.mask() == mask || (x.mask() & mask) == mask, "with_mask",
        "the input carries a mask already that leaves out some of these positions; give what is in "
        "both, x.mask() & mask, or drop_mask() it first");
  return fill_and_carry("with_mask", x, mask, fill, mask);
}

Variable fill_masked(const Variable& x, Scalar fill) {
  check_given(x.defined(), "fill_masked", "the input");
  return x.mask().defined() ? fill_and_carry("fill_masked", x, x.mask(), fill, {}) : x;
}

CommonMask intersect_masks(const Variable& a, const Variable& b) {
  const SequenceMask &of_a = a.mask(), &of_b = b.mask();
  return carry(a, b, of_a.defined() && of_b.defined() ? of_a & of_b : of_a.defined() ? of_a : of_b);
}

CommonMask unite_masks(const Variable& a, const Variable& b) {
  const bool both_masked = a.mask().defined() && b.mask().defined();
  return carry(a, b, both_masked ? a.mask() | b.mask() : SequenceMask());
}

}  // namespace maskgrad::ops
