#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
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

InputSpec input_with_holes() {
  return {.name = "input",
          .reach = Reach::kByCall,
          .gradient = Reads::nothing(),
          .dtypes = DTypes::kAny};
}

const OpDef& kWithMask = register_op({
    .name = "with_mask",
    .summary = "the input with a mask on it, fill at its holes",
    .inputs = {input_with_holes(), mask_input(Reach::kEverything)},
    .args = {{"fill", Scalar(0.0)}},
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const Tensor& bits = call.input("mask").value();
      check_defined(find_op("with_mask"), "mask", bits);
      return {with_mask(call.input("input"), SequenceMask(bits), call.arg<Scalar>("fill"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}, {"mask", sample_bits(r, {2, 3})}},
               {{"fill", Scalar(-2.5)}}},
              {{{"input", sample_uniform(r, {2, 3})}, {"mask", sample_bits(r, {2, 3})}}},
              {{{"input", sample_uniform(r, {0, 3})}, {"mask", sample_bits(r, {0, 3})}}}};
    },
});

const OpDef& kFillMasked = register_op({
    .name = "fill_masked",
    .summary = "fill at the holes of the input's own mask, which ends",
    .inputs = {input_with_holes()},
    .args = {{"fill", Scalar(0.0)}},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {fill_masked(call.input("input"), call.arg<Scalar>("fill"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}, {{"fill", Scalar(-2.5)}}}};
    },
});

Tensor select(const Tensor& x, const Tensor& keep, Scalar fill) {
  check_mask_fits("keep_where", keep, x.shape());
  const BroadcastPlan plan("keep_where", x.shape(), keep.shape());
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch_dtype(AllTypes{}, x.dtype(), "keep_where", [&]<class T>(T) {
    const functors::KeepWhere<T> rule{fill.to<T>("keep_where", "fill")};
    const auto on_cpu = [&] { zip_all(plan, y.data<T>(), rule, x.data<T>(), keep.data<bool>()); };
    dispatch_device(x.device(), "keep_where",
                    kElementwiseCuda<functors::KeepWhere<T>, Tensor, Conditions>, on_cpu, rule, x,
                    Conditions{keep}, y);
  });
  return y;
}

// x with `fill` in the holes of `mask`, carrying `carried`.
// dx = g: either x or y carries the mask, so the tape drops what comes to its holes.
Variable fill_and_carry(const OpDef& op, const Variable& x, const SequenceMask& mask, Scalar fill,
                        const SequenceMask& carried) {
  fill.check_fits(op.name.c_str(), "fill", x.dtype());
  // A layer before may have filled them already, and what nobody masks any more nobody writes to.
  // On a device nobody looks.
  const bool is_filled = !carried.defined() && x.value().device().type == DeviceType::kCpu &&
                         holes_hold(x.value(), mask, fill);
  Tensor y = is_filled ? x.value() : x.value().clone();
  if (!is_filled) fill_holes(y, mask, fill);
  const auto rule = [](const Tensor& g, Gradients& grads) { grads.set(0, g); };
  const auto reached = [mask](std::size_t, const Tensor& marked, const Way&) {
    return without_holes(marked, mask);
  };
  return record(op, {&x}, std::move(y), carried, with_reach(rule, reached),
                {{"mask", carried}, {"fill", fill}});
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
                 }),
      {{"mask", mask}, {"fill", fill}});
}

Variable with_mask(const Variable& x, const SequenceMask& mask, Scalar fill) {
  check_given(x.defined(), "with_mask", "the input");
  if (!mask.defined()) return x;
  check(!x.mask().defined() || x.mask() == mask || (x.mask() & mask) == mask, "with_mask",
        "the input carries a mask already that leaves out some of these positions; give what is in "
        "both, x.mask() & mask, or drop_mask() it first");
  return fill_and_carry(kWithMask, x, mask, fill, mask);
}

Variable fill_masked(const Variable& x, Scalar fill) {
  check_given(x.defined(), "fill_masked", "the input");
  return x.mask().defined() ? fill_and_carry(kFillMasked, x, x.mask(), fill, {}) : x;
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
