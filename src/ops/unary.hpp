// What operations on each element of one input share. Internal to src/ops.
#pragma once

#include <maskgrad/ops/expression.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {

/// The argument of an operation f(x, arg).
struct UnaryArg {
  const char* name;
  double fallback;
};

/// Describes `function`, f(x) or f(x, arg), keeping the mask; samples are uniform in [low, 2). The
/// gradient reads what `gradient` says.
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
        } else {
          return {function(call.input("input"), call.arg<double>(args.front().name))};
        }
      },
      .samples = [=](Random& r) -> std::vector<OpSample> {
        return {{{{"input", sample_uniform(r, {2, 3, 4}, low)}}},
                {{{"input", sample_uniform(r, {}, low)}}}};
      },
  });
}

/// What backward needs of the forward pass.
enum class Saves { kNothing, kInput, kOutput };

/// y = forward(x); the gradient is backward(g, s) with s the saved input or output, or g again.
/// Each expression is written once and serves both dtypes; constants are double and meet floats
/// only as scalars.
template <class Forward, class Backward>
Variable unary(const OpDef& op, const Variable& x, Saves saves, Forward forward,
               Backward backward) {
  check_defined(op, {&x});
  Tensor y = map(op.name.c_str(), forward, x.value());
  Saved saved;
  if (saves == Saves::kInput) saved = Saved(op, "input", x.value());
  if (saves == Saves::kOutput) saved = Saved(op, "output", y);
  return record(op, {&x}, std::move(y), [&op, backward, saved](const Tensor& g, Gradients& grads) {
    grads.set(0, map(op.name.c_str(), backward, g, saved.defined() ? *saved : g));
  });
}

}  // namespace maskgrad::ops
