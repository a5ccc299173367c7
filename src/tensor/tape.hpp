// Reverse-mode differentiation: operations record themselves on a tape, the tape runs backward.
//
//   Tape tape;                            // records on this thread until it goes out of scope
//   Variable loss = model(batch);
//   tape.backward(loss);                  // the leaves now hold their gradients
//
// An operation computes its output and ends with
//   return record(kRelu, {&x}, output, [=](const Tensor& grad_output, Gradients& grads) {
//     if (grads.needed(0)) grads.set(0, ...);
//   });
// The rule gives one gradient for each input that needs one. The tape alone checks their number,
// dtypes and shapes, sums what was broadcast, accumulates, and drops what arrives at masked places.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/op_def.hpp>
#include <maskgrad/tensor/variable.hpp>

namespace maskgrad {

/// What a gradient rule fills in: one gradient for each input that needs one.
class Gradients {
 public:
  explicit Gradients(std::span<const Ref<GradSlot>> inputs) : inputs_(inputs) {
    values_.resize(inputs.size());
  }

  /// False for inputs that take no gradient; then nothing need be computed.
  bool needed(std::size_t input) const { return static_cast<bool>(inputs_[input]); }
  /// Gives a gradient of the input's shape, or of one that the input was broadcast to.
  void set(std::size_t input, Tensor grad) { values_[input] = std::move(grad); }
  /// Memory of the input's shape and dtype, contents undefined, for the rule to write the gradient
  /// into; where it can, the place where that gradient is wanted in the end.
  Tensor buffer(std::size_t input);

 private:
  friend class Tape;
  std::span<const Ref<GradSlot>> inputs_;
  PoolVector<Tensor> values_;
};

/// One recorded operation.
class Node : public RefCounted {
 public:
  Node(const OpDef& op, PoolVector<Ref<GradSlot>> inputs, Ref<GradSlot> output)
      : op_(op), inputs_(std::move(inputs)), output_(std::move(output)) {}

  const OpDef& op() const { return op_; }
  std::span<const Ref<GradSlot>> inputs() const { return inputs_; }
  const Ref<GradSlot>& output() const { return output_; }
  virtual void backward(const Tensor& grad_output, Gradients& grads) = 0;

 private:
  const OpDef& op_;
  PoolVector<Ref<GradSlot>> inputs_;
  Ref<GradSlot> output_;
};

/// The operations of one forward pass, in order. Belongs to the thread that made it.
class Tape {
 public:
  struct Options {
    /// Every operation checks what it gave, holes left out: Error "[log] gave -inf at element 3 of
    /// (2, 4)".
    bool check_finite = false;
  };

  Tape() : Tape(Options{}) {}
  explicit Tape(Options options);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape();

  /// Adds to every leaf that `root` depends on the gradient of seed * root. Each record is freed as
  /// soon as it has been used, so a tape runs backward once.
  /// Throws Error on a second call, when `root` is not a single element, or was not recorded here.
  void backward(const Variable& root, double seed = 1.0);
  /// The same for the sum of grad_output * root, of any shape.
  void backward(const Variable& root, const Tensor& grad_output);

  std::span<const Ref<Node>> nodes() const { return nodes_; }

  /// The tape that records on this thread now, or nullptr.
  static Tape* current();

 private:
  friend class NoGrad;
  template <class Rule>
  friend Variable record(const OpDef&, std::initializer_list<const Variable*>, Tensor, SequenceMask,
                         Rule&&);

  static bool wants_record(std::span<const Variable* const> inputs);
  static void check_output(const OpDef& op, const Tensor& output, const SequenceMask& mask);
  static Variable make_output(Tensor value, SequenceMask mask, Ref<GradSlot> slot);
  PoolVector<Ref<GradSlot>> input_slots(const OpDef& op, std::span<const Variable* const> inputs);
  Ref<GradSlot> output_slot(const Tensor& value, const SequenceMask& mask) const;

  void run_backward();
  static void drop_made_of_holes(const Node& node, Gradients& grads);
  static void accumulate(const char* op, std::size_t input, GradSlot& slot, Tensor grad);

  std::uint64_t id_;
  Options options_;
  Tape* outer_;
  bool used_ = false;
  PoolVector<Ref<Node>> nodes_;
};

/// While one lives, nothing is recorded on this thread.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  Tape* outer_;
};

/// Makes the Variable of an operation's output, and records the operation when a tape is there and
/// an input takes gradients. `mask` is what the output carries. The inputs come in the order of
/// op.inputs; those that take no gradient and no mask may be left out at the end.
template <class Rule>
Variable record(const OpDef& op, std::initializer_list<const Variable*> inputs, Tensor output,
                SequenceMask mask, Rule&& rule) {
  struct Recorded final : Node {
    Recorded(const OpDef& o, PoolVector<Ref<GradSlot>> in, Ref<GradSlot> out, Rule&& r)
        : Node(o, std::move(in), std::move(out)), rule(std::forward<Rule>(r)) {}
    void backward(const Tensor& grad_output, Gradients& grads) override {
      rule(grad_output, grads);
    }
    std::decay_t<Rule> rule;
  };
  Tape::check_output(op, output, mask);
  if (!Tape::wants_record(inputs)) return Tape::make_output(std::move(output), std::move(mask), {});
  Tape& tape = *Tape::current();
  Ref<GradSlot> slot = tape.output_slot(output, mask);
  tape.nodes_.push_back(
      Ref<Node>(new Recorded(op, tape.input_slots(op, inputs), slot, std::forward<Rule>(rule))));
  return Tape::make_output(std::move(output), std::move(mask), std::move(slot));
}

/// The mask that an output of shape `output` carries by op.mask_rule: for kKeeps the one mask of
/// the inputs; for the other rules none, as the operation passes its own to record().
/// Throws Error when two inputs carry different masks, when the output has no place for the mask,
/// and when a mask reaches an operation that does not say what becomes of it.
SequenceMask follow_mask(const OpDef& op, std::span<const Variable* const> inputs,
                         const Shape& output);

/// The same for an operation whose output's mask follows from its inputs.
template <class Rule>
Variable record(const OpDef& op, std::initializer_list<const Variable*> inputs, Tensor output,
                Rule&& rule) {
  SequenceMask mask = follow_mask(op, inputs, output.shape());
  return record(op, inputs, std::move(output), std::move(mask), std::forward<Rule>(rule));
}

}  // namespace maskgrad
