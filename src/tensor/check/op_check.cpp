#include <algorithm>

#include <maskgrad/tensor/check/gradients.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/check/random_weights.hpp>

namespace maskgrad {
namespace {

using Complaints = std::vector<std::string>;

// Puts `value` where `where` is true.
void write(Tensor& x, const Tensor& where, double value) {
  dispatch_dtype(AllTypes{}, x.dtype(), "check_op", [&]<class T>(T) {
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      if (where.data<bool>()[i]) x.data<T>()[i] = static_cast<T>(value);
    }
  });
}

// For one sample: which places of the output each element of each leaf reaches, by what is said.
class SaidReach {
 public:
  SaidReach(const OpDef& op, const OpCall& call) : call_(call), tape_({.trace = true}) {
    output_ = run_op(op, call).front();
    Tensor all = Tensor::zeros(output_.shape(), DType::kBool);
    for (const auto& [name, leaf] : call.inputs) {
      if (!leaf.requires_grad()) continue;
      unread_[name] = Tensor::zeros(leaf.shape(), DType::kBool);
      for (std::int64_t i = 0; i < leaf.value().numel(); ++i) {
        const Tensor marks = of(name, i);
        if (!any(marks)) unread_[name].data<bool>()[i] = true;
        all = either(all, marks);
      }
    }
    unreached_ = opposite(all);
  }

  // The places that element i of the leaf `name` reaches.
  Tensor of(const std::string& name, std::int64_t i) const {
    MarkedTape marked(tape_);
    const Variable& leaf = call_.input(name);
    marked.mark(leaf, mark(leaf.shape(), i));
    marked.run(false);
    return marked.marks(*output_.slot());
  }
  bool known() const { return static_cast<bool>(output_.slot()); }
  const Tensor& unread(const std::string& name) const { return unread_.at(name); }
  const Tensor& unreached() const { return unreached_; }

 private:
  const OpCall& call_;
  Tape tape_;
  Variable output_;
  std::map<std::string, Tensor> unread_;
  Tensor unreached_;  // places of the output that no leaf reaches
};

void change(Tensor& x, std::int64_t i) {
  if (x.dtype() == DType::kBool) {
    x.data<bool>()[i] = !x.data<bool>()[i];
  } else {
    x.data<double>()[i] += 10;
  }
}

// Changes one element after another and looks where the output follows.
void check_reach(const OpDef& op, const OpCall& call, Complaints& complaints) {
  const SaidReach said(op, call);
  const NoGrad no_grad;
  const Tensor before = run_op(op, call).front().value().clone();
  for (const auto& [name, leaf] : call.inputs) {
    if (!leaf.requires_grad()) continue;
    Tensor x = leaf.value();
    const Tensor here = x.clone();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      change(x, i);
      const Tensor after = run_op(op, call).front().value().clone();
      x.copy_from(here);
      const Tensor reached = said.of(name, i);
      for (std::int64_t o = 0; o < before.numel(); ++o) {
        if (is_identical(before.view(o, {}), after.view(o, {})) || reached.data<bool>()[o])
          continue;
        complaints.push_back(fmt::format(
            "says that element {} of its output {} does not depend on {}[{}] of {}, but it does", o,
            before.shape(), name, i, x.shape()));
        return;
      }
    }
  }
}

struct Results {
  std::vector<Tensor> values;  // outputs, then gradients of the leaves
};

// Runs both ways, with `poison` at places that are not read, and in gradients of those that depend
// on nothing.
Results run_poisoned(const OpDef& op, const OpSample& sample, DType dtype, const SaidReach& said,
                     double poison) {
  const OpCall call = call_of(op, sample, dtype);
  for (const auto& [name, leaf] : call.inputs) {
    Tensor value = leaf.value();
    if (leaf.requires_grad()) write(value, said.unread(name), poison);
  }
  Tape tape;
  Results results;
  const std::vector<Variable> outputs = run_op(op, call);
  for (const Variable& y : outputs) results.values.push_back(y.value().clone());
  if (!outputs.front().requires_grad()) return results;
  Tensor g = random_weights("check_op", 1, outputs.front().shape()).to(dtype);
  write(g, said.unreached(), poison);
  tape.backward(outputs.front(), g);
  for (const auto& [name, leaf] : call.inputs) {
    if (leaf.requires_grad()) results.values.push_back(leaf.grad());
  }
  return results;
}

bool sends_something_to(const Tensor& grad, const Tensor& unread) {
  const Tensor doubles = grad.to(DType::kFloat64);
  for (std::int64_t i = 0; i < doubles.numel(); ++i) {
    if (unread.data<bool>()[i] && doubles.data<double>()[i] != 0) return true;
  }
  return false;
}

void check_poison(const OpDef& op, const OpSample& sample, DType dtype, Complaints& complaints) {
  const OpCall call = call_of(op, sample);
  const SaidReach said(op, call);
  if (!said.known()) return;
  const Results clean = run_poisoned(op, sample, dtype, said, 0.0);
  std::size_t at = op.outputs.size();
  for (const auto& [name, leaf] : call.inputs) {
    if (!leaf.requires_grad() || at >= clean.values.size()) continue;
    if (sends_something_to(clean.values[at++], said.unread(name))) {
      complaints.push_back(
          fmt::format("sends a gradient to places of {} that it does not read", name));
    }
  }
  for (const double poison : mask_poisons()) {
    const Results poisoned = run_poisoned(op, sample, dtype, said, poison);
    for (std::size_t i = 0; i < clean.values.size(); ++i) {
      if (is_identical(poisoned.values[i], clean.values[i])) continue;
      complaints.push_back(fmt::format(
          "{} {} changes with {} at places that it does not read", to_string(dtype),
          i < op.outputs.size() ? "output '" + op.outputs[i] + "'" : std::string("a gradient"),
          poison));
      return;
    }
  }
}

void check_sample_gradients(const OpDef& op, const OpSample& sample, Complaints& complaints) {
  const OpCall call = call_of(op, sample);
  std::vector<NamedLeaf> leaves;
  for (const auto& [name, input] : call.inputs) {
    if (input.requires_grad()) leaves.push_back({name, input});
  }
  if (leaves.empty()) return;
  for (std::size_t i = 0; i < op.outputs.size(); ++i) {
    const auto f = [&] { return run_op(op, call)[i]; };
    if (!is_floating(f().dtype())) continue;
    const GradientReport report = check_gradients(f, leaves);
    if (!report.holds()) complaints.push_back("gradient of " + op.outputs[i] + ": " + report.worst);
  }
}

}  // namespace

OpCall call_of(const OpDef& op, const OpSample& sample, DType dtype) {
  OpCall call{.inputs = {}, .args = sample.args};
  for (const auto& [name, tensor] : sample.inputs) {
    const InputSpec* spec = op.find_input(name);
    check(spec != nullptr, op.name.c_str(), "a sample has an input '{}'", name);
    const Tensor value = is_floating(tensor.dtype()) ? tensor.to(dtype) : tensor;
    const bool leaf = spec->differentiable && is_floating(value.dtype());
    call.inputs[name] =
        Variable(value.clone(), leaf ? Variable::kRequiresGrad : Variable::kConstant);
  }
  return call;
}

std::vector<std::string> check_op(const OpDef& op) {
  check(op.samples != nullptr, op.name.c_str(), "has no samples to be checked with");
  Complaints complaints;
  Random random(1, stream_of(op.name));
  for (const OpSample& sample : op.samples(random)) {
    check_sample_gradients(op, sample, complaints);
    check_reach(op, call_of(op, sample), complaints);
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      check_poison(op, sample, dtype, complaints);
    }
  }
  std::sort(complaints.begin(), complaints.end());
  complaints.erase(std::unique(complaints.begin(), complaints.end()), complaints.end());
  return complaints;
}

}  // namespace maskgrad
