// One call of an operation, and what its description says of it. Internal to src/tensor/check.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <maskgrad/tensor/check/marks.hpp>

namespace maskgrad::check_detail {

/// Marks, or values, of inputs by name.
using ByInput = std::map<std::string, Tensor>;

/// A sample of an operation in one dtype, some of its inputs with a mask or none.
struct OpTrial {
  const OpDef& op;
  const OpSample& sample;
  DType dtype = DType::kFloat64;
  SequenceMask mask = {};
  std::vector<std::string> masked = {};  // the inputs that carry it

  /// Its inputs, leaves where a gradient can go, with 0 in the holes.
  OpCall call() const;
  /// The same with `poison` at these places of leaves, and in the holes.
  OpCall poisoned_call(const ByInput& places, double poison) const;
};

/// What both passes of a trial gave.
struct OpResults {
  std::vector<Variable> outputs;
  ByInput gradients;  // of the leaves; undefined where none arrived
};
/// Runs forward and, from output `root` with `grad_output`, backward.
OpResults run_both_ways(const OpDef& op, const OpCall& call, std::size_t root,
                        const Tensor& grad_output);

/// Which outputs and gradients depend on what, by the description.
class DescribedOp {
 public:
  /// Throws Error as the operation does.
  explicit DescribedOp(const OpTrial& trial);

  const std::vector<Variable>& outputs() const { return outputs_; }
  /// The inputs that can get a gradient, by name.
  const std::map<std::string, Variable>& leaves() const { return leaves_; }
  /// Whether the operation recorded this leaf, or gave it as its output.
  bool is_recorded(const Variable& leaf) const;
  /// Whether a gradient can be sent back from this output.
  bool is_differentiable(std::size_t output) const;

  struct Marks {
    std::vector<Tensor> outputs;
    ByInput gradients;
  };
  /// Places that depend on these places of leaves, and on holes where `holes` says so.
  Marks of_values(const ByInput& places, bool holes) const;
  /// Places of gradients that depend on these places of the gradient of output `root`.
  Marks of_gradient(std::size_t root, const Tensor& places) const;

 private:
  Marks collect(const MarkedTape& marked) const;

  std::map<std::string, Variable> leaves_;
  Tape tape_;
  std::vector<Variable> outputs_;
};

}  // namespace maskgrad::check_detail
