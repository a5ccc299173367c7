#include <algorithm>

#include <maskgrad/tensor/check/described_op.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::check_detail {
namespace {

void write(Tensor& x, const Tensor& where, double value) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "check_op", [&]<class T>(T) {
    T* to = x.data<T>();
    const bool* marked = where.data<bool>();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      if (marked[i]) to[i] = static_cast<T>(value);
    }
  });
}

}  // namespace

OpCall OpTrial::call() const { return poisoned_call({}, 0.0); }

OpCall OpTrial::poisoned_call(const ByInput& places, double poison) const {
  OpCall call = call_of(op, sample, dtype);
  for (const auto& [name, marks] : places) {
    Tensor value = call.input(name).value();
    write(value, marks, poison);
  }
  for (const std::string& name : masked) {
    Variable& input = call.inputs.at(name);
    Tensor value = input.value();
    fill_holes(value, mask, poison);
    input = Variable(value, Variable::kRequiresGrad, mask);
  }
  return call;
}

OpResults run_both_ways(const OpDef& op, const OpCall& call, std::size_t root,
                        const Tensor& grad_output) {
  Tape tape;
  OpResults results{run_op(op, call), {}};
  const Variable& y = results.outputs.at(root);
  if (y.requires_grad()) tape.backward(y, grad_output);
  for (const auto& [name, input] : call.inputs) {
    if (input.requires_grad()) results.gradients[name] = input.grad();
  }
  return results;
}

DescribedOp::DescribedOp(const OpTrial& trial) : tape_({.trace = true}) {
  const OpCall call = trial.call();
  for (const auto& [name, input] : call.inputs) {
    if (input.requires_grad()) leaves_.emplace(name, input);
  }
  outputs_ = run_op(trial.op, call);
}

bool DescribedOp::is_recorded(const Variable& leaf) const {
  const auto is_it = [&](const Gradient* value) { return value == leaf.gradient(); };
  return std::any_of(outputs_.begin(), outputs_.end(),
                     [&](const Variable& y) { return is_it(y.gradient()); }) ||
         std::any_of(tape_.nodes().begin(), tape_.nodes().end(), [&](const Ref<Node>& node) {
           return std::any_of(node->inputs().begin(), node->inputs().end(),
                              [&](const Ref<Gradient>& input) { return is_it(input.get()); });
         });
}

bool DescribedOp::is_differentiable(std::size_t output) const {
  const Gradient* gradient = outputs_[output].gradient();
  return gradient && !gradient->is_constant() && is_floating(gradient->dtype());
}

DescribedOp::Marks DescribedOp::of_values(const ByInput& places, bool holes) const {
  MarkedTape marked(tape_);
  for (const auto& [name, marks] : places) marked.mark(leaves_.at(name), marks);
  marked.run(holes);
  marked.run_back();
  return collect(marked);
}

DescribedOp::Marks DescribedOp::of_gradient(std::size_t root, const Tensor& places) const {
  MarkedTape marked(tape_);
  marked.mark_gradient(outputs_[root], places);
  marked.run(false);
  marked.run_back();
  return collect(marked);
}

// An output that is not recorded depends on nothing, by what is said.
DescribedOp::Marks DescribedOp::collect(const MarkedTape& marked) const {
  Marks marks;
  for (const Variable& y : outputs_) {
    marks.outputs.push_back(y.gradient() ? marked.marks(*y.gradient())
                                         : Tensor::zeros(y.shape(), DType::kBool));
  }
  for (const auto& [name, leaf] : leaves_) {
    marks.gradients[name] = marked.gradient_marks(*leaf.gradient());
  }
  return marks;
}

}  // namespace maskgrad::check_detail
