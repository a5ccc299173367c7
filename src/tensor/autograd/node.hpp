// What a tape keeps of one operation.
#pragma once

#include <memory>
#include <span>

#include <maskgrad/tensor/autograd/gradient.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad {

/// What a gradient rule fills in: one gradient for each input that needs one.
class Gradients {
 public:
  explicit Gradients(std::span<const Ref<Gradient>> inputs) : inputs_(inputs) {
    values_.resize(inputs.size());
  }

  /// False for an input that takes no gradient. The rule need not compute one for it.
  bool needed(std::size_t input) const { return static_cast<bool>(inputs_[input]); }
  /// Gives a gradient of the input's shape, or of one that the input was broadcast to.
  void set(std::size_t input, Tensor grad) { values_[input] = std::move(grad); }
  /// Memory of the input's shape and dtype, contents undefined, for the rule to write the gradient
  /// into. Where possible it is the parameter's own buffer, so that the gradient is not copied.
  /// Requires needed(input).
  Tensor buffer(std::size_t input);
  /// The same, holding 0, for a rule that writes to `rows` of the first dimension only, any number
  /// of times each. The next pass clears these rows alone. So the cost of the gradient of a large
  /// table is in proportion to its rows that were used.
  Tensor zeros(std::size_t input, PoolVector<std::int64_t> rows);

 private:
  friend class Tape;
  bool is_alone(std::size_t input) const;

  std::span<const Ref<Gradient>> inputs_;
  PoolVector<Tensor> values_;
};

/// The gradients of a node's outputs. One, the usual number, takes no memory of its own.
class NodeOutputs {
 public:
  explicit NodeOutputs(Ref<Gradient> only) : only_(std::move(only)) {}
  explicit NodeOutputs(PoolVector<Ref<Gradient>> several) : several_(std::move(several)) {}

  std::span<const Ref<Gradient>> all() const {
    return only_ ? std::span(&only_, 1) : std::span<const Ref<Gradient>>(several_);
  }

 private:
  Ref<Gradient> only_;
  PoolVector<Ref<Gradient>> several_;
};

/// One recorded operation. Its inputs and outputs are given as their Gradients. That of an input
/// which takes no gradient is null, unless the tape traces.
class Node : public RefCounted {
 public:
  Node(const OpDef& op, PoolVector<Ref<Gradient>> inputs, NodeOutputs outputs)
      : op_(op), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}

  const OpDef& op() const { return op_; }
  std::span<const Ref<Gradient>> inputs() const { return inputs_; }
  std::span<const Ref<Gradient>> outputs() const { return outputs_.all(); }
  /// All that the operation was called with. Null unless the tape traces, and null for an operation
  /// that did not tell record() all inputs and arguments.
  const OpCall* call() const { return call_.get(); }

  /// Runs the gradient rule. arrived: one gradient for each output, undefined where none arrived.
  /// An operation of one output is called only when its gradient arrived.
  virtual void backward(std::span<Tensor> arrived, Gradients& grads) = 0;
  /// bool of the shape of output `output`: where it can depend on a marked place (bool) of this
  /// input.
  Tensor reached(std::size_t input, const Tensor& marked, std::size_t output = 0) const {
    return spread_marks(input, marked, way(input, output, false));
  }
  /// bool of this input's shape: where a marked place (bool) of output `output` can depend on it.
  Tensor reaching(std::size_t input, const Tensor& marked, std::size_t output = 0) const {
    return spread_marks(input, marked, way(input, output, true));
  }

 protected:
  virtual Tensor spread_marks(std::size_t input, const Tensor& marked, const Way& way) const = 0;
  /// The marks by the Reach in the description of the operation. Throws Error for Reach::kByCall.
  Tensor described_reach(std::size_t input, const Tensor& marked, const Way& way) const;

 private:
  friend class Recorder;
  Way way(std::size_t input, std::size_t output, bool back) const {
    return {inputs_[input]->shape(), outputs()[output]->shape(), back, output};
  }

  const OpDef& op_;
  PoolVector<Ref<Gradient>> inputs_;
  NodeOutputs outputs_;
  std::unique_ptr<const OpCall> call_;
};

}  // namespace maskgrad
