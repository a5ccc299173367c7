#include <algorithm>

#include <maskgrad/tensor/autograd/replay.hpp>
#include <maskgrad/tensor/check/op_replay.hpp>

namespace maskgrad::check_detail {
namespace {

// Other numbers of the same signs.
Variable other_numbers(const Variable& x) {
  Tensor value = x.value().clone();
  for (double& element : std::span(value.data<double>(), static_cast<std::size_t>(value.numel()))) {
    element *= 0.75;
  }
  return Variable(value, x.requires_grad() ? Variable::kRequiresGrad : Variable::kConstant);
}

// Copies of the integers and masks that the calls on a tape read, in place of these.
void replace_by_copies(const Tape& tape, std::vector<Replacement>& replacements) {
  const auto is_replaced = [&](const Variable& x) {
    return std::any_of(replacements.begin(), replacements.end(), [&](const Replacement& one) {
      return one.recorded.value().is_same_view(x.value());
    });
  };
  for (const Ref<Node>& node : tape.nodes()) {
    if (!node->call()) continue;
    for (const auto& [name, input] : node->call()->inputs) {
      if (is_floating(input.dtype()) || input.gradient() || is_replaced(input)) continue;
      const Variable copy(input.value().clone(), Variable::kConstant, input.mask());
      replacements.push_back({input, copy});
    }
  }
}

std::vector<Variable> run_untaped(const OpDef& op, const OpCall& call) {
  const NoGrad no_grad;
  return run_op(op, call);
}

}  // namespace

void check_replay(const OpDef& op, const OpSample& sample, Complaints& complaints) {
  const OpCall call = call_of(op, sample);
  OpCall other = call;
  std::vector<Replacement> replacements;
  for (auto& [name, input] : other.inputs) {
    if (input.dtype() != DType::kFloat64) continue;
    input = other_numbers(input);
    replacements.push_back({call.input(name), input});
  }
  const Tape tape({.trace = true});
  const std::vector<Variable> outputs = run_op(op, call);
  if (tape.nodes().empty()) return;  // it gives tensors that no gradient goes through
  const std::vector<Variable> expected = run_untaped(op, other);
  std::vector<Variable> recorded;
  for (const Variable& y : outputs) {
    if (y.gradient() && !y.gradient()->is_leaf()) recorded.push_back(y);
  }
  replace_by_copies(tape, replacements);
  const NoGrad no_grad;
  const std::vector<Variable> found = replay(tape, replacements, recorded);
  for (std::size_t i = 0, at = 0; i < outputs.size(); ++i) {
    if (at == recorded.size() || outputs[i].gradient() != recorded[at].gradient()) continue;
    const Variable& y = found[at++];
    if (is_identical(y.value(), expected[i].value()) && y.mask() == expected[i].mask()) continue;
    complaints.add(
        "replay",
        fmt::format("gives another output '{}' than its recorded call, run again with the same "
                    "numbers; record() must be told of all inputs and arguments",
                    op.output_name(i)));
  }
}

}  // namespace maskgrad::check_detail
