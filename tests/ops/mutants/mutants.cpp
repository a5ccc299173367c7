#include "ops/mutants/mutants.hpp"

#include <memory>

#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/mutants/mutant_families.hpp"

namespace maskgrad::test {

Values bits_of(const OpCall& call, const Shape& shape) {
  if (!call.has("mask")) return Values(static_cast<std::size_t>(shape.numel()), 1);
  return to_doubles(ops::expand(call.input("mask").value(), shape));
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

std::vector<Mutant> mutants() {
  std::vector<Mutant> all;
  const auto add = [&](std::vector<Mutant> some) {
    all.insert(all.end(), some.begin(), some.end());
  };
  add(mutants_of_keep_where());
  add(mutants_of_masked_softmax());
  add({{"WhereMultipliesByItsCondition", "where", where_by_products, {}}});
  for (const char* op : {"masked_mean", "masked_max", "masked_layer_norm", "attention_scores",
                         "attention_values", "scaled_dot_product_attention", "self_attention"}) {
    add(mutants_with_another_mask(op));
  }
  add(mutants_of_moved_rows());
  add(mutants_of_attention());
  add(mutants_of_gradients());
  return all;
}

OpDef mutated(const Mutant& mutant) {
  OpDef op = find_op(mutant.op);
  // Nodes refer to the description of their operation, which must outlive them.
  const auto described = std::make_shared<OpDef>(op);
  op.call = [mutant, described](const OpCall& call) -> std::vector<Variable> {
    Ref<Node> node;
    {
      const Tape trace({.trace = true});
      run_op(find_op(mutant.op), call);
      node = trace.nodes().back();
    }
    std::vector<const Variable*> inputs;
    std::vector<std::string> names;
    for (const InputSpec& spec : described->inputs) {
      if (!spec.differentiable) continue;
      for (const auto& [name, input] : call.inputs) {
        if (described->find_input(name) != &spec || !input.requires_grad()) continue;
        inputs.push_back(&input);
        names.push_back(name);
      }
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
    outputs.front() =
        record(*described, inputs, mutant.forward ? mutant.forward(call) : outputs.front().value(),
               outputs.front().mask(),
               with_reach(rule, [node](std::size_t input, const Tensor& marked, const Way& way) {
                 return way.back ? node->reaching(input, marked) : node->reached(input, marked);
               }));
    return outputs;
  };
  return op;
}

}  // namespace maskgrad::test
