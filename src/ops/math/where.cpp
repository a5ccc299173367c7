// ops::where of elementwise.hpp, which takes elements of every dtype.
#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/mask/mask_checks.hpp>

namespace maskgrad::ops {
namespace {

InputSpec choice(const char* name) {
  return {
      .name = name, .reach = Reach::kByCall, .gradient = Reads::nothing(), .dtypes = DTypes::kAny};
}

const OpDef& kWhere = register_op({
    .name = "where",
    .summary = "a where the condition holds, b elsewhere",
    .inputs = {choice("a"), choice("b"), mask_input(Reach::kElement, "condition")},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {where(call.input("condition").value(), call.input("a"), call.input("b"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const auto& [condition, a, b] : std::initializer_list<std::array<Shape, 3>>{
               {Shape{2, 3, 4}, Shape{2, 3, 4}, Shape{2, 3, 4}},
               {Shape{3, 1}, Shape{2, 1, 4}, Shape{}},
               {Shape{2, 3}, Shape{3}, Shape{2, 1}},
               {Shape{}, Shape{2, 2}, Shape{2}}}) {
        samples.push_back({{{"condition", sample_bits(r, condition, 0.5)},
                            {"a", sample_uniform(r, a)},
                            {"b", sample_uniform(r, b)}}});
      }
      return samples;
    },
});

Tensor chosen(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const BroadcastPlan plan("where", {&condition.shape(), &a.shape(), &b.shape()});
  Tensor y = Tensor::empty(plan.output(), a.dtype(), a.device());
  constexpr functors::Where kChoice;
  const auto on_cpu = [&] {
    dispatch_dtype(AllTypes{}, a.dtype(), "where", [&]<class T>(T) {
      zip_all(plan, y.data<T>(), kChoice, condition.data<bool>(), a.data<T>(), b.data<T>());
    });
  };
  dispatch_device(a.device(), "where",
                  kElementwiseCuda<functors::Where, Conditions, Tensor, Tensor>, on_cpu, kChoice,
                  Conditions{condition}, a, b, y);
  return y;
}

// A place of y depends on that of a where the condition holds there, and on that of b elsewhere.
Tensor reached(const Tensor& condition, std::size_t input, const Tensor& marked, const Way& way) {
  const Tensor holds = expand(condition, way.output);
  const Tensor comes = input == 0 ? holds : opposite(holds);
  return way.back ? spread(Reach::kElement, both(marked, comes), way)
                  : both(spread(Reach::kElement, marked, way), comes);
}

}  // namespace

// da = g where the condition holds, db = g elsewhere, 0 at the other places
Variable where(const Tensor& condition, const Variable& a, const Variable& b) {
  check_defined(kWhere, {&a, &b});
  check_defined(kWhere, "condition", condition);
  check(condition.dtype() == DType::kBool, "where", "the condition must be bool, got {}",
        to_string(condition.dtype()));
  check(a.dtype() == b.dtype(), "where", "a is {} and b {}, they must be the same",
        to_string(a.dtype()), to_string(b.dtype()));
  Tensor y = chosen(condition, a.value(), b.value());
  for (const Variable* input : {&a, &b}) {
    if (input->mask().defined()) check_positions_stay("where", input->shape(), y.shape());
  }
  const Saved kept(kWhere, "condition", condition);
  const auto rule = [kept](const Tensor& g, Gradients& grads) {
    const Conditions holds{*kept};
    if (grads.needed(0)) grads.set(0, zip_elements("where", functors::KeepWhere<>(), g, holds));
    if (grads.needed(1)) grads.set(1, zip_elements("where", functors::FillWhere<>(), g, holds));
  };
  const auto reach = [kept](std::size_t input, const Tensor& marked, const Way& way) {
    return reached(*kept, input, marked, way);
  };
  return record(kWhere, {&a, &b}, std::move(y), with_reach(rule, reach),
                {{"condition", condition}});
}

}  // namespace maskgrad::ops
