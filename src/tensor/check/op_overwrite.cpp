#include <functional>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/check/op_overwrite.hpp>
#include <maskgrad/tensor/check/random_weights.hpp>

namespace maskgrad::check_detail {
namespace {

// Other values that the operation may have got as well, such as masks and lengths.
void overwrite(Tensor x) {
  dispatch_dtype(AllTypes{}, x.dtype(), "check_op", [&]<class T>(T) {
    for (T *at = x.data<T>(), *end = at + x.numel(); at != end; ++at) {
      if constexpr (std::is_same_v<T, bool>) {
        *at = !*at;
      } else {
        *at = static_cast<T>(3 - *at);
      }
    }
  });
}

// The gradients of the leaves, undefined where none arrived.
using LeafGradients = std::vector<Tensor>;

// Runs backward from output `root` after `change` had its way with the call and its outputs. Empty
// when the tape refuses, or when there is nothing to run.
LeafGradients gradients_after(
    const OpDef& op, const OpSample& sample, std::size_t root,
    const std::function<void(const OpCall&, const std::vector<Variable>&)>& change) {
  const OpCall call = call_of(op, sample);
  Tape tape;
  const std::vector<Variable> outputs = run_op(op, call);
  const Variable& y = outputs[root];
  if (!y.requires_grad()) return {};
  const Tensor g = random_weights("check_op", 1, y.shape());
  change(call, outputs);
  try {
    tape.backward(y, g);
  } catch (const Error&) {
    return {};
  }
  LeafGradients gradients;
  for (const auto& [name, input] : call.inputs) {
    if (input.requires_grad()) gradients.push_back(input.grad());
  }
  return gradients;
}

// Undefined ones are the same.
bool same(const Tensor& a, const Tensor& b) {
  return a.defined() == b.defined() && (!a.defined() || is_identical(a, b));
}

}  // namespace

void check_overwriting(const OpDef& op, const OpSample& sample, Complaints& complaints) {
  const std::size_t count = run_op(op, call_of(op, sample)).size();
  for (std::size_t root = 0; root < count; ++root) {
    const auto nothing = [](const OpCall&, const std::vector<Variable>&) {};
    const LeafGradients clean = gradients_after(op, sample, root, nothing);
    const auto compare = [&](const std::string& what, const auto& change) {
      const LeafGradients found = gradients_after(op, sample, root, change);
      for (std::size_t i = 0; i < found.size(); ++i) {
        if (same(found[i], clean[i])) continue;
        complaints.add(fmt::format(
            "gives other gradients when {} is written to after the forward pass; what a rule reads "
            "must be Saved",
            what));
        return;
      }
    };
    for (const auto& [name, value] : sample.inputs) {
      compare("'" + name + "'", [&, input = name](const OpCall& call, const auto&) {
        overwrite(call.input(input).value());
      });
    }
    for (std::size_t i = 0; i < count; ++i) {
      compare("output '" + op.output_name(i) + "'",
              [i](const OpCall&, const auto& outputs) { overwrite(outputs[i].value()); });
    }
  }
}

}  // namespace maskgrad::check_detail
