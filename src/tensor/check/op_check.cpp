#include <algorithm>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/described_op.hpp>
#include <maskgrad/tensor/check/gradients.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/check/op_overwrite.hpp>
#include <maskgrad/tensor/check/op_poison.hpp>
#include <maskgrad/tensor/check/op_replay.hpp>

namespace maskgrad {
namespace {

using check_detail::Complaints;

// What gradients are said to read must be there.
void check_names(const OpDef& op, Complaints& complaints) {
  for (const InputSpec& input : op.inputs) {
    for (const std::string& name : input.gradient.names()) {
      const bool known =
          std::find(op.outputs.begin(), op.outputs.end(), name) != op.outputs.end() ||
          std::any_of(op.inputs.begin(), op.inputs.end(),
                      [&](const InputSpec& other) { return other.name == name; });
      if (known) continue;
      complaints.add(fmt::format(
          "says that the gradient of '{}' reads '{}', which is none of its inputs and outputs",
          input.name, name));
    }
  }
}

void check_mask_rule(const OpDef& op, Complaints& complaints) {
  if (!op.has_gradient() || op.mask_rule != MaskRule::kUnset) return;
  complaints.add("has no mask_rule, so it refuses every input with a mask");
}

void check_recorded(const OpDef& op, const OpSample& sample, Complaints& complaints) {
  const check_detail::DescribedOp described({op, sample});
  for (const auto& [name, leaf] : described.leaves()) {
    if (described.is_recorded(leaf)) continue;
    complaints.add(
        fmt::format("does not give its input '{}' to record(), so it gets no gradient", name));
  }
}

void check_sample_gradients(const OpDef& op, const OpSample& sample, Complaints& complaints) {
  const OpCall call = call_of(op, sample);
  std::vector<NamedLeaf> leaves;
  for (const auto& [name, input] : call.inputs) {
    if (input.requires_grad()) leaves.push_back({name, input});
  }
  if (leaves.empty()) return;
  const std::size_t count = run_op(op, call).size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto f = [&] { return run_op(op, call)[i]; };
    if (!is_floating(f().dtype())) continue;
    const GradientReport report = check_gradients(f, leaves);
    const std::string what = "gradient of " + op.output_name(i);
    if (!report.holds()) complaints.add(what, what + ": " + report.worst);
  }
}

// An error of the operation is a complaint like others.
void check_sample(const OpDef& op, const OpSample& sample, Complaints& complaints) {
  try {
    check_recorded(op, sample, complaints);
    if (!op.has_stand_in_gradient) check_sample_gradients(op, sample, complaints);
    check_detail::check_overwriting(op, sample, complaints);
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      check_detail::check_dependence(op, sample, dtype, complaints);
    }
    check_detail::check_replay(op, sample, complaints);
  } catch (const Error& error) {
    complaints.add(fmt::format("throws {}", error.what()));
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
  const NoGrad no_grad;  // on a tape of the caller
  Complaints complaints;
  check_names(op, complaints);
  check_mask_rule(op, complaints);
  Random random(1, stream_of(op.name));
  for (const OpSample& sample : op.samples(random)) check_sample(op, sample, complaints);
  return complaints.texts();
}

}  // namespace maskgrad
