#include "ops/mutants.hpp"

#include <cmath>
#include <memory>

#include <maskgrad/ops/shape.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {
namespace {

using Values = std::vector<double>;

Values values_of(const OpCall& call, const char* name) {
  return to_doubles(call.input(name).value());
}
Tensor like(const Variable& x, const Values& values) { return make(values, x.shape(), x.dtype()); }
Values bits_of(const OpCall& call, const Shape& shape) {
  return to_doubles(ops::expand(call.input("mask").value(), shape));
}

Tensor true_output(const std::string& op, const OpCall& call) {
  const NoGrad no_grad;
  return run_op(find_op(op), call).front().value().clone();
}

Gradient true_gradient(const std::string& op, const OpCall& call, const Tensor& g) {
  OpCall fresh = call;
  for (auto& [name, input] : fresh.inputs) {
    if (input.requires_grad()) input = leaf(input.value());
  }
  Tape tape;
  tape.backward(run_op(find_op(op), fresh).front(), g);
  Gradient result;
  for (const auto& [name, input] : fresh.inputs) {
    if (input.requires_grad()) result[name] = input.grad();
  }
  return result;
}

// y_i = f(x_i, keep_i, i)
template <class F>
Tensor by_element(const OpCall& call, F f) {
  const Variable& x = call.input("input");
  const Values in = to_doubles(x.value()), keep = bits_of(call, x.shape());
  Values out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = f(in[i], keep[i], i);
  return like(x, out);
}

// Calls f(row of x, row of keep, row of the output) for the rows of the last dimension.
template <class F>
Tensor by_row(const OpCall& call, F f) {
  const Variable& x = call.input("input");
  const Values in = to_doubles(x.value()), keep = bits_of(call, x.shape());
  Values out(in.size());
  const auto n = static_cast<std::size_t>(x.dim(-1));
  for (std::size_t at = 0; at < in.size(); at += n) f(&in[at], &keep[at], &out[at], n);
  return like(x, out);
}

// Softmax of scores, whatever they are.
void softmax(const double* scores, double* y, std::size_t n) {
  double top = -HUGE_VAL, sum = 0;
  for (std::size_t j = 0; j < n; ++j) top = std::max(top, scores[j]);
  for (std::size_t j = 0; j < n; ++j) sum += y[j] = std::exp(scores[j] - top);
  for (std::size_t j = 0; j < n; ++j) y[j] /= sum;
}

Gradient elementwise_gradient(const OpCall& call, const Tensor& g,
                              double (*f)(double g, double keep)) {
  const Values grad = to_doubles(g), keep = bits_of(call, g.shape());
  Values out(grad.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = f(grad[i], keep[i]);
  return {{"input", make(out, g.shape(), g.dtype())}};
}

std::vector<Mutant> of_keep_where() {
  const std::string op = "keep_where";
  const auto fill = [](const OpCall& call) { return call.arg<double>("fill"); };
  return {
      {"MultipliesInsteadOfSelecting", op,
       [=](const OpCall& call) {
         return by_element(call, [&](double x, double keep, std::size_t) {
           return x * keep + fill(call) * (1 - keep);
         });
       }},
      {"ShiftsItsMaskByOne", op,
       [=](const OpCall& call) {
         const Values keep = bits_of(call, call.input("input").shape());
         return by_element(call, [&](double x, double, std::size_t i) {
           return keep[(i + 1) % keep.size()] != 0 ? x : fill(call);
         });
       }},
      {"TakesTheOtherPolarity", op,
       [=](const OpCall& call) {
         return by_element(
             call, [&](double x, double keep, std::size_t) { return keep == 0 ? x : fill(call); });
       }},
      {"AddsALargeNumberToWhatItFills", op,
       [=](const OpCall& call) {
         return by_element(
             call, [](double x, double keep, std::size_t) { return keep != 0 ? x : x - 1e9; });
       }},
      {"MultipliesItsGradient",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         return elementwise_gradient(call, g, [](double d, double keep) { return d * keep; });
       }},
      {"ForgetsTheMaskOnTheWayBack",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         return elementwise_gradient(call, g, [](double d, double) { return d; });
       }},
      {"SendsBackWhereItFilled",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         return elementwise_gradient(call, g,
                                     [](double d, double keep) { return keep == 0 ? d : 0; });
       }},
  };
}

std::vector<Mutant> of_masked_softmax() {
  const std::string op = "masked_softmax";
  return {
      {"AddsMinusABillionToMaskedScores", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           Values scores(n);
           for (std::size_t j = 0; j < n; ++j) scores[j] = x[j] - 1e9 * (1 - keep[j]);
           softmax(scores.data(), y, n);
         });
       }},
      {"ZeroesWeightsAfterwards", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           softmax(x, y, n);
           for (std::size_t j = 0; j < n; ++j) y[j] = keep[j] != 0 ? y[j] : 0;
         });
       }},
      {"SubtractsTheMaximumOfAllPlaces", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           double top = -HUGE_VAL, sum = 0;
           for (std::size_t j = 0; j < n; ++j) top = std::max(top, x[j]);
           for (std::size_t j = 0; j < n; ++j)
             sum += y[j] = keep[j] != 0 ? std::exp(x[j] - top) : 0;
           for (std::size_t j = 0; j < n && sum > 0; ++j) y[j] /= sum;
         });
       }},
      {"DividesByNothingInAnEmptyRow", op,
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           double sum = 0;
           for (std::size_t j = 0; j < n; ++j) sum += y[j] = keep[j] != 0 ? std::exp(x[j]) : 0;
           for (std::size_t j = 0; j < n; ++j) y[j] /= sum;
         });
       }},
      {"ReadsGradientsOfMaskedPlaces",
       op,
       {},
       [](const OpCall& call, const Tensor& g) {
         const Tensor y = true_output("masked_softmax", call);
         const Values p = to_doubles(y), grad = to_doubles(g);
         Values out(p.size());
         const auto n = static_cast<std::size_t>(y.dim(-1));
         for (std::size_t at = 0; at < p.size(); at += n) {
           double dot = 0;
           for (std::size_t j = at; j < at + n; ++j) dot += p[j] * grad[j];
           for (std::size_t j = at; j < at + n; ++j) out[j] = p[j] * (grad[j] - dot);
         }
         return Gradient{{"input", make(out, y.shape(), y.dtype())}};
       }},
      {"SumsOverMaskedPlacesInTheLogarithm", "masked_log_softmax",
       [](const OpCall& call) {
         return by_row(call, [](const double* x, const double* keep, double* y, std::size_t n) {
           softmax(x, y, n);
           for (std::size_t j = 0; j < n; ++j) y[j] = keep[j] != 0 ? std::log(y[j]) : 0;
         });
       }},
      {"ForgetsTheMaskInItsGradient",
       "masked_log_softmax",
       {},
       [](const OpCall&, const Tensor& g) {
         return Gradient{{"input", g.clone()}};
       }},
  };
}

// The mask of an operation that reduces, with every bit set.
OpCall unmasked(OpCall call) {
  const Tensor mask = call.input("mask").value();
  call.inputs["mask"] = Variable(Tensor::full(mask.shape(), 1, DType::kBool));
  return call;
}

// The same call with its mask moved by one place.
OpCall shifted(OpCall call) {
  const Tensor mask = call.input("mask").value();
  Tensor moved = mask.clone();
  for (std::int64_t i = 0; i < mask.numel(); ++i) {
    moved.data<bool>()[i] = mask.data<bool>()[(i + 1) % mask.numel()];
  }
  call.inputs["mask"] = Variable(moved);
  return call;
}

// The same call with fewer or other places kept, forward or backward only.
std::vector<Mutant> with_another_mask(const std::string& op) {
  const auto title = [](std::string name) {
    std::string text;
    bool upper = true;
    for (const char c : name) {
      if (c != '_') text += upper ? static_cast<char>(std::toupper(c)) : c;
      upper = c == '_';
    }
    return text;
  };
  const auto forward = [=](OpCall (*other)(OpCall)) {
    return [=](const OpCall& call) { return true_output(op, other(call)); };
  };
  const auto backward = [=](OpCall (*other)(OpCall)) {
    return [=](const OpCall& call, const Tensor& g) { return true_gradient(op, other(call), g); };
  };
  return {{title(op) + "ReadsAll", op, forward(unmasked), {}},
          {title(op) + "ShiftsItsMask", op, forward(shifted), {}},
          {title(op) + "SendsBackToAll", op, {}, backward(unmasked)},
          {title(op) + "ShiftsItsMaskOnTheWayBack", op, {}, backward(shifted)}};
}

// Rows moved: the gradient comes back in another order.
Gradient rolled(Gradient gradient) {
  for (auto& [name, g] : gradient) {
    const std::int64_t rows = g.dim(0);
    if (rows < 2) continue;
    const std::size_t row = g.nbytes() / static_cast<std::size_t>(rows);
    Tensor moved = g.clone();
    std::rotate(moved.raw_data(), moved.raw_data() + row, moved.raw_data() + g.nbytes());
    g = moved;
  }
  return gradient;
}

std::vector<Mutant> of_moved_rows() {
  std::vector<Mutant> found;
  for (const auto& [name, op] : std::map<std::string, std::string>{
           {"BooleanMaskPutsGradientsElsewhere", "boolean_mask"},
           {"BooleanUnmaskTakesGradientsElsewhere", "boolean_unmask"},
           {"UnmaskFillTakesGradientsElsewhere", "unmask_fill"}}) {
    found.push_back({name, op, {}, [op = op](const OpCall& call, const Tensor& g) {
                       return rolled(true_gradient(op, call, g));
                     }});
  }
  found.push_back({"ReversePackedSegsDoesNotTurnBack",
                   "reverse_packed_segs",
                   {},
                   [](const OpCall&, const Tensor& g) {
                     return Gradient{{"data", g.clone()}};
                   }});
  found.push_back(
      {"ReversePackedSegsTurnsPaddingToo", "reverse_packed_segs", [](const OpCall& call) {
         OpCall whole = call;
         const Variable& data = call.input("data");
         const std::int64_t steps = data.dim(call.has("batch_first") ? 1 : 0);
         const bool first = call.args.contains("batch_first") && call.arg<bool>("batch_first");
         whole.inputs["lengths"] = Variable(
             Tensor::full(call.input("lengths").shape(),
                          static_cast<double>(first ? data.dim(1) : steps), DType::kInt64));
         return true_output("reverse_packed_segs", whole);
       }});
  found.push_back(
      {"SequenceMaskForgetsItsGradient", "sequence_mask", {}, [](const OpCall&, const Tensor& g) {
         return Gradient{{"input", g.clone()}};
       }});
  found.push_back(
      {"DropoutForgetsWhatItDropped", "dropout", {}, [](const OpCall&, const Tensor& g) {
         return Gradient{{"input", g.clone()}};
       }});
  return found;
}

// Values summed with dense products, in which 0 stands for what is masked.
std::vector<Mutant> of_attention_values() {
  const auto dense = [](const OpCall& call) {
    const Shape w = call.input("weights").shape(), v = call.input("v").shape();
    const Values weights = values_of(call, "weights"), values = values_of(call, "v"),
                 keep = bits_of(call, w);
    Values out(static_cast<std::size_t>(w.with_dim(3, v[3]).numel()));
    const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
    for (std::int64_t row = 0; row < w[0] * w[1] * w[2]; ++row) {
      const std::int64_t head = row / w[2], group = w[1] / v[1];
      const std::int64_t first = (head / w[1] * v[1] + head % w[1] / group) * v[2];
      for (std::int64_t t = 0; t < v[2]; ++t) {
        for (std::int64_t d = 0; d < v[3]; ++d) {
          out[at(row * v[3] + d)] += keep[at(row * w[3] + t)] * weights[at(row * w[3] + t)] *
                                     values[at((first + t) * v[3] + d)];
        }
      }
    }
    return make(out, w.with_dim(3, v[3]), call.input("v").dtype());
  };
  return {{"MultipliesMaskedValuesByZero", "attention_values", dense}};
}

}  // namespace

std::vector<Mutant> mutants() {
  std::vector<Mutant> all;
  const auto add = [&](std::vector<Mutant> some) {
    all.insert(all.end(), some.begin(), some.end());
  };
  add(of_keep_where());
  add(of_masked_softmax());
  for (const char* op :
       {"masked_mean", "masked_max", "masked_layer_norm", "attention_scores", "attention_values"}) {
    add(with_another_mask(op));
  }
  add(of_moved_rows());
  add(of_attention_values());
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
    const auto rule = [=](const Tensor& g, Gradients& grads) {
      const Gradient gradient =
          mutant.backward ? mutant.backward(call, g) : true_gradient(mutant.op, call, g);
      for (std::size_t i = 0; i < names.size(); ++i) grads.set(i, gradient.at(names[i]));
    };
    std::vector<Variable> outputs;
    {
      const NoGrad no_grad;
      outputs = run_op(find_op(mutant.op), call);
    }
    outputs.front() =
        record(*described, inputs, mutant.forward ? mutant.forward(call) : outputs.front().value(),
               SequenceMask(), with_reach(rule, [node](std::size_t input, const Tensor& marked) {
                 return node->reached(input, marked);
               }));
    return outputs;
  };
  return op;
}

}  // namespace maskgrad::test
