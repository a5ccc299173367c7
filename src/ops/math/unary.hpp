// What operations on each element of one input share. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/rules.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {

/// An argument of an operation f(x, arg) or f(x, arg, arg).
struct UnaryArg {
  const char* name;
  double fallback;
};

/// Describes `function`, f(x) with up to two arguments, keeping the mask; samples are uniform in
/// [low, 2). The gradient reads what `gradient` says.
template <class Function>
const OpDef& register_unary(const char* name, const char* summary, Function function,
                            std::vector<UnaryArg> args = {}, double low = -2.0,
                            const Reads& gradient = Reads::everything()) {
  std::vector<ArgSpec> arg_specs;
  for (const UnaryArg& arg : args) arg_specs.push_back({arg.name, arg.fallback});
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input", .reach = Reach::kElement, .gradient = gradient}},
      .args = arg_specs,
      .mask_rule = MaskRule::kKeeps,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        if constexpr (std::is_invocable_v<Function, const Variable&>) {
          return {function(call.input("input"))};
        } else if constexpr (std::is_invocable_v<Function, const Variable&, double>) {
          return {function(call.input("input"), call.arg<double>(args[0].name))};
        } else {
          return {function(call.input("input"), call.arg<double>(args[0].name),
                           call.arg<double>(args[1].name))};
        }
      },
      .samples = [=](Random& r) -> std::vector<OpSample> {
        return {{{{"input", sample_uniform(r, {2, 3, 4}, low)}}},
                {{{"input", sample_uniform(r, {}, low)}}}};
      },
  });
}

/// f(x) for a rule f of functors/rules.hpp. given: the arguments that f was made from.
template <class Rule>
Variable unary(const OpDef& op, const Variable& x, Rule f, AlsoGiven given = {}) {
  using functors::Saves;
  check_defined(op, {&x});
  Tensor y = map_elements(op.name.c_str(), f, x.value());
  Saved saved;
  if (Rule::kSaves == Saves::kInput) saved = Saved(op, "input", x.value());
  if (Rule::kSaves == Saves::kOutput) saved = Saved(op, "output", y);
  const auto rule = [&op, f, saved](const Tensor& g, Gradients& grads) {
    const functors::GradientOf<Rule> gradient{f};
    grads.set(0, map_elements(op.name.c_str(), gradient, saved.defined() ? *saved : g, g));
  };
  return record(op, {&x}, std::move(y), rule, given);
}

}  // namespace maskgrad::ops
