// Reverse-mode differentiation: operations record themselves on a tape, the tape runs backward.
//
//   Tape tape;                            // records on this thread until it goes out of scope
//   Variable loss = model(batch);
//   tape.backward(loss);                  // the leaves now hold their gradients
//
// An operation computes its output and ends with
//   return record(kExp, {&x}, y, [y = Saved(kExp, "output", y)](const Tensor& g, Gradients& grads)
//   {
//     if (grads.needed(0)) grads.set(0, times(g, *y));
//   });
// What the rule reads later it holds as Saved: inputs, outputs, and masks that the caller gave. So
// it is an error when somebody has written to them by then.
// The rule gives one gradient for each input that needs one. The tape alone checks their number,
// dtypes and shapes, sums what was broadcast, accumulates, and drops what arrives at masked places.
// A rule that takes grad_output as a Tensor of its own may compute in its memory, where it
// is_exclusive().
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include <maskgrad/tensor/autograd/observer.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/saved.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/nested.hpp>

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
  /// The same, holding 0, for a rule that writes to `rows` of the first dimension only, each any
  /// number of times. A parameter's buffer remembers them, so that the next pass clears no more
  /// than what this one wrote: a table's gradient costs what its tokens do.
  Tensor zeros(std::size_t input, PoolVector<std::int64_t> rows);

 private:
  friend class Tape;
  bool may_claim(std::size_t input) const;

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
  virtual void backward(Tensor grad_output, Gradients& grads) = 0;
  /// bool of the output's shape: where it can depend on a marked place (bool) of this input.
  Tensor reached(std::size_t input, const Tensor& marked) const {
    return spread_marks(input, marked, way_of(input));
  }
  /// bool of this input's shape: where a marked place (bool) of the output can depend on it.
  Tensor reaching(std::size_t input, const Tensor& marked) const {
    Way way = way_of(input);
    way.back = true;
    return spread_marks(input, marked, way);
  }

 protected:
  virtual Tensor spread_marks(std::size_t input, const Tensor& marked, const Way& way) const = 0;
  /// What the description of the operation says.
  Tensor described_reach(std::size_t input, const Tensor& marked, const Way& way) const;

 private:
  Way way_of(std::size_t input) const { return {inputs_[input]->shape, output_->shape}; }

  const OpDef& op_;
  PoolVector<Ref<GradSlot>> inputs_;
  Ref<GradSlot> output_;
};

class Tape;

/// Where operations of this thread go while it lives: to a tape, or nowhere.
class Recording : public Nested<Recording> {
 public:
  explicit Recording(Tape* tape) : tape_(tape) {}
  Tape* tape() const { return tape_; }

 private:
  Tape* tape_;
};

/// The operations of one forward pass, in order. Belongs to the thread that made it, and must end
/// there. Tapes nest: the one made last, of those that live, records. They may end in any order.
class Tape {
 public:
  struct Options {
    TapeObserver* observer = nullptr;  // must outlive the tape
    /// Records every operation, whether or not its inputs take gradients, and which layer it is
    /// in: for the static proof. Such a tape does not run backward.
    bool trace = false;
  };

  Tape() : Tape(Options{}) {}
  explicit Tape(Options options);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Adds to every leaf that `root` depends on the gradient of seed * root. Each record is freed as
  /// soon as it has been used, so a tape runs backward once.
  /// Throws Error on a second call, when `root` is not a single element, or was not recorded here.
  void backward(const Variable& root, double seed = 1.0);
  /// The same for the sum of grad_output * root, of any shape.
  void backward(const Variable& root, const Tensor& grad_output);

  std::span<const Ref<Node>> nodes() const { return nodes_; }
  bool traces() const { return options_.trace; }
  /// The layer in which node i was recorded, on a tape that traces or has an observer:
  /// "block0.attention".
  const std::string& scope(std::size_t i) const { return scopes_.at(i); }

  /// The tape that records on this thread now, or nullptr.
  static Tape* current() {
    const Recording* recording = Recording::innermost();
    return recording ? recording->tape() : nullptr;
  }

 private:
  template <class Rule>
  friend Variable record(const OpDef&, std::span<const Variable* const>, Tensor, SequenceMask,
                         Rule&&);
  friend Variable drop_mask(const Variable& x);

  static void show_output(const OpDef& op, Tensor& output, const SequenceMask& mask);
  static bool wants_record(std::span<const Variable* const> inputs);
  static Variable make_output(Tensor value, SequenceMask mask, Ref<GradSlot> slot);
  static Ref<GradSlot> slot_of(const Variable& x);
  PoolVector<Ref<GradSlot>> input_slots(const OpDef& op, std::span<const Variable* const> inputs);
  Ref<GradSlot> output_slot(const Tensor& value, const SequenceMask& mask) const;
  void add(Ref<Node> node);

  void run_backward();
  static void drop_made_of_holes(const Node& node, Gradients& grads);
  static void accumulate(const char* op, std::size_t input, GradSlot& slot, Tensor grad);

  std::uint64_t id_;
  Options options_;
  Recording recording_;
  bool used_ = false;
  PoolVector<Ref<Node>> nodes_;
  std::vector<std::string> scopes_;  // of the nodes, for who looks on
};

/// While one lives, nothing is recorded on this thread but by tapes made after it.
class NoGrad {
 private:
  Recording recording_{nullptr};
};

/// A gradient rule that also tells what the operation reads, for inputs with Reach::kByCall. The
/// function carries marks along a way, as spread() does; one that leads forward only, from marks on
/// the input, is followed back by halving:
///   with_reach(rule, [=](std::size_t input, const Tensor& marked, const Way& way) {...})
///   with_reach(rule, [=](std::size_t input, const Tensor& marked) {...})
template <class Rule, class Reached>
struct RuleWithReach {
  Rule rule;
  Reached reached;
  void operator()(Tensor grad_output, Gradients& grads) { rule(std::move(grad_output), grads); }
};
template <class Rule, class Reached>
RuleWithReach<Rule, Reached> with_reach(Rule rule, Reached reached) {
  return {std::move(rule), std::move(reached)};
}

/// Makes the Variable of an operation's output, and records the operation when a tape is there and
/// an input takes gradients. `mask` is what the output carries. The inputs come in the order of
/// op.inputs; those that take no gradient and no mask may be left out at the end.
template <class Rule>
Variable record(const OpDef& op, std::span<const Variable* const> inputs, Tensor output,
                SequenceMask mask, Rule&& rule) {
  using R = std::decay_t<Rule>;
  struct Recorded final : Node {
    Recorded(const OpDef& o, PoolVector<Ref<GradSlot>> in, Ref<GradSlot> out, Rule&& r)
        : Node(o, std::move(in), std::move(out)), rule(std::forward<Rule>(r)) {}
    void backward(Tensor grad_output, Gradients& grads) override {
      rule(std::move(grad_output), grads);
    }
    Tensor spread_marks(std::size_t input, const Tensor& marked, const Way& way) const override {
      if constexpr (requires(const R& r) { r.reached(input, marked, way); }) {
        return rule.reached(input, marked, way);
      } else if constexpr (requires(const R& r) { r.reached(input, marked); }) {
        const auto forward = [&](const Tensor& marks) { return rule.reached(input, marks); };
        return way.back ? spread_back(forward, marked, way.input) : forward(marked);
      } else {
        return described_reach(input, marked, way);
      }
    }
    R rule;
  };
  Tape::show_output(op, output, mask);
  if (!Tape::wants_record(inputs)) return Tape::make_output(std::move(output), std::move(mask), {});
  Tape& tape = *Tape::current();
  Ref<GradSlot> slot = tape.output_slot(output, mask);
  tape.add(
      Ref<Node>(new Recorded(op, tape.input_slots(op, inputs), slot, std::forward<Rule>(rule))));
  return Tape::make_output(std::move(output), std::move(mask), std::move(slot));
}
template <class Rule>
Variable record(const OpDef& op, std::initializer_list<const Variable*> inputs, Tensor output,
                SequenceMask mask, Rule&& rule) {
  return record(op, std::span(inputs.begin(), inputs.size()), std::move(output), std::move(mask),
                std::forward<Rule>(rule));
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
