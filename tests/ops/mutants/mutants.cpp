#include "ops/mutants/mutants.hpp"

#include <algorithm>
#include <iterator>
#include <memory>

#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

#include "ops/mutants/mutant_families.hpp"

namespace maskgrad::test {

Values bits_of(const OpCall& call, const Shape& shape) {
  Values keep(static_cast<std::size_t>(shape.numel()), 1);
  if (call.has("mask")) keep = to_doubles(ops::expand(call.input("mask").value(), shape));
  if (!call.has("queries")) return keep;
  // Pairs [B, H, S, S] of positions [B, S] that exist.
  const Values exist = to_doubles(call.input("queries").value());
  const std::int64_t heads = shape[1], length = shape[2];
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    const std::int64_t sample = i / (heads * length * length) * length;
    const auto query = static_cast<std::size_t>(sample + i / length % length),
               key = static_cast<std::size_t>(sample + i % length);
    keep[static_cast<std::size_t>(i)] *= exist[query] * exist[key];
  }
  return keep;
}

// All that an operation was called with.
PoolVector<Given> given_of(const OpCall& call) {
  PoolVector<Given> given;
  for (const auto& [name, input] : call.inputs) given.push_back({name.c_str(), input});
  for (const auto& [name, value] : call.args) {
    std::visit(
        [&, of = name.c_str()]<class T>(const T& x) {
          if constexpr (std::is_same_v<T, std::string>)
            given.push_back({of, std::string_view(x)});
          else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>)
            given.push_back({of, std::span<const std::int64_t>(x)});
          else
            given.push_back({of, x});
        },
        value);
  }
  return given;
}

OpCall copy_of(const OpCall& call) {
  OpCall copy = call;
  for (auto& [name, input] : copy.inputs) {
    const auto grad = input.requires_grad() ? Variable::kRequiresGrad : Variable::kConstant;
    input = Variable(input.value().clone(), grad, input.mask());
  }
  return copy;
}

Tensor true_output(const std::string& op, const OpCall& call) {
  const NoGrad no_grad;
  return run_op(find_op(op), call).front().value().clone();
}

Gradient true_gradient(const std::string& op, const OpCall& call, const Tensor& g) {
  const OpCall fresh = copy_of(call);
  Tape tape;
  tape.backward(run_op(find_op(op), fresh).front(), g);
  Gradient result;
  for (const auto& [name, input] : fresh.inputs) {
    if (input.requires_grad()) result[name] = input.grad();
  }
  return result;
}

// condition a + (1 - condition) b, which lets a NaN of the other through.
Tensor where_by_products(const OpCall& call) {
  const Tensor y = true_output("where", call);
  const auto values = [&](const char* name) {
    return to_doubles(ops::expand(call.input(name).value(), y.shape()));
  };
  const Values a = values("a"), b = values("b"), holds = values("condition");
  Values sums(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) sums[i] = holds[i] * a[i] + (1 - holds[i]) * b[i];
  return make(sums, y.shape(), y.dtype());
}

std::vector<Mutant> mutants_of_operations_with_masks() {
  std::vector<Mutant> all = {{"WhereMultipliesByItsCondition", "where", where_by_products, {}}};
  // What with_mask() leaves in the holes is nobody's business, so it may read all.
  for (Mutant& mutant : mutants_with_another_mask("with_mask")) {
    if (mutant.name != "WithMaskReadsAll") all.push_back(std::move(mutant));
  }
  for (const char* op : {"masked_mean", "masked_max", "masked_layer_norm", "attention_scores",
                         "attention_values", "scaled_dot_product_attention", "self_attention"}) {
    for (Mutant& mutant : mutants_with_another_mask(op)) all.push_back(std::move(mutant));
  }
  return all;
}

const bool kRegistered = register_mutants(mutants_of_operations_with_masks);

std::vector<std::vector<Mutant> (*)()>& families() {
  static std::vector<std::vector<Mutant> (*)()> all;
  return all;
}

bool register_mutants(std::vector<Mutant> (*make)()) {
  families().push_back(make);
  return true;
}

std::vector<Mutant> mutants() {
  std::vector<Mutant> all;
  for (const auto make : families()) {
    for (Mutant& mutant : make()) all.push_back(std::move(mutant));
  }
  return all;
}

OpDef mutated(const Mutant& mutant) {
  OpDef op = find_op(mutant.op);
  // Nodes refer to the description of their operation, which must outlive them.
  const auto run = [mutant](const OpDef& described, const OpCall& call) -> std::vector<Variable> {
    Ref<Node> node;
    {
      const Tape trace({.trace = true});
      run_op(find_op(mutant.op), call);
      node = trace.nodes().back();
    }
    std::vector<const Variable*> inputs;
    std::vector<std::string> names;
    const auto takers =
        std::count_if(call.inputs.begin(), call.inputs.end(),
                      [](const auto& given) { return given.second.requires_grad(); });
    for (std::size_t i = 0; std::ssize(inputs) < takers; ++i) {
      const std::string name = described.recorded_name(i);
      if (!call.has(name) || !call.input(name).requires_grad()) continue;
      inputs.push_back(&call.input(name));
      names.push_back(name);
    }
    // A copy: what is written to the inputs later is no fault of the mutant.
    const auto rule = [=, kept = copy_of(call)](const Tensor& g, Gradients& grads) {
      const Gradient gradient =
          mutant.backward ? mutant.backward(kept, g) : true_gradient(mutant.op, kept, g);
      for (std::size_t i = 0; i < names.size(); ++i) grads.set(i, gradient.at(names[i]));
    };
    std::vector<Variable> outputs;
    {
      const NoGrad no_grad;
      outputs = run_op(find_op(mutant.op), call);
    }
    outputs.front() = record(
        described, inputs, mutant.forward ? mutant.forward(call) : outputs.front().value(),
        outputs.front().mask(),
        with_reach(rule,
                   [node](std::size_t input, const Tensor& marked, const Way& way) {
                     return way.back ? node->reaching(input, marked) : node->reached(input, marked);
                   }),
        given_of(call));
    return outputs;
  };
  // The description that nodes refer to runs the mutant, too.
  const auto described = std::make_shared<OpDef>(op);
  described->call = [run, self = described.get()](const OpCall& call) { return run(*self, call); };
  op.call = [run, described](const OpCall& call) { return run(*described, call); };
  return op;
}

}  // namespace maskgrad::test
