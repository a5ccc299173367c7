// How operations record themselves. For whoever writes one.
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
// is_exclusive(). The rule of an operation with several outputs takes std::span<Tensor>: a gradient
// for each, undefined where nothing arrived.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <variant>

#include <maskgrad/tensor/autograd/node.hpp>
#include <maskgrad/tensor/autograd/saved.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad {

class AttentionMask;

/// The inputs that an operation records, in the order of op.inputs. Those that take no gradient and
/// no mask may be left out at the end. Write it in the call: it refers to what the braces hold.
class Inputs : public std::span<const Variable* const> {
 public:
  Inputs(std::initializer_list<const Variable*> inputs) : span(inputs.begin(), inputs.size()) {}
  template <class Container>
  Inputs(const Container& inputs) : span(std::data(inputs), std::size(inputs)) {}
};

/// What else an operation was called with, by its name in the description: an argument, or an input
/// that Inputs leaves out. An input without a value was not given. A tape that traces keeps them,
/// so that the call can be printed and run again; no other looks at them.
struct Given {
  using Value = std::variant<bool, std::int64_t, double, Scalar, std::string_view,
                             std::span<const std::int64_t>, const Tensor*, const Variable*,
                             const SequenceMask*, const AttentionMask*>;

  Given(const char* name_of, bool x) : name(name_of), value(x) {}
  Given(const char* name_of, int x) : name(name_of), value(std::int64_t{x}) {}
  Given(const char* name_of, std::int64_t x) : name(name_of), value(x) {}
  Given(const char* name_of, double x) : name(name_of), value(x) {}
  Given(const char* name_of, Scalar x) : name(name_of), value(x) {}
  Given(const char* name_of, const char* x) : name(name_of), value(std::string_view(x)) {}
  Given(const char* name_of, std::string_view x) : name(name_of), value(x) {}
  Given(const char* name_of, std::span<const std::int64_t> x) : name(name_of), value(x) {}
  Given(const char* name_of, const Tensor& x) : name(name_of), value(&x) {}
  Given(const char* name_of, const Variable& x) : name(name_of), value(&x) {}
  Given(const char* name_of, const SequenceMask& x) : name(name_of), value(&x) {}
  Given(const char* name_of, const AttentionMask& x) : name(name_of), value(&x) {}
  /// Repeated input number `number`: "mask3".
  Given(const char* name_of, std::size_t number_of, const Tensor& x)
      : name(name_of), number(static_cast<std::int64_t>(number_of)), value(&x) {}

  const char* name;
  std::int64_t number = -1;
  Value value;
};
/// All that was given beside the inputs. Write it in the call: it refers to what the braces hold.
class AlsoGiven : public std::span<const Given> {
 public:
  AlsoGiven() = default;
  AlsoGiven(std::initializer_list<Given> all) : span(all.begin(), all.size()) {}
  AlsoGiven(const PoolVector<Given>& all) : span(all) {}
};

/// One of an operation's outputs, and the mask that it carries.
struct OpOutput {
  Tensor value;
  SequenceMask mask = {};
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
  template <class Arrived>
  requires std::is_invocable_v<Rule&, Arrived, Gradients&>
  void operator()(Arrived&& arrived, Gradients& grads) {
    rule(std::forward<Arrived>(arrived), grads);
  }
};
template <class Rule, class Reached>
RuleWithReach<Rule, Reached> with_reach(Rule rule, Reached reached) {
  return {std::move(rule), std::move(reached)};
}

/// A node that runs `rule`. Use record().
template <class Rule>
class RuleNode final : public Node {
 public:
  template <class R>
  RuleNode(const OpDef& op, PoolVector<Ref<Gradient>> inputs, NodeOutputs outputs, R&& rule)
      : Node(op, std::move(inputs), std::move(outputs)), rule_(std::forward<R>(rule)) {}

  void backward(std::span<Tensor> arrived, Gradients& grads) override {
    if constexpr (std::is_invocable_v<Rule&, Tensor, Gradients&>) {
      rule_(std::move(arrived[0]), grads);
    } else {
      rule_(arrived, grads);
    }
  }

 protected:
  Tensor spread_marks(std::size_t input, const Tensor& marked, const Way& way) const override {
    if constexpr (requires { rule_.reached(input, marked, way); }) {
      return rule_.reached(input, marked, way);
    } else if constexpr (requires { rule_.reached(input, marked); }) {
      const auto forward = [&](const Tensor& marks) { return rule_.reached(input, marks); };
      return way.back ? spread_back(forward, marked, way.input) : forward(marked);
    } else {
      return described_reach(input, marked, way);
    }
  }

 private:
  Rule rule_;
};

/// What recording does whatever the rule is. Use record().
class Recorder {
 public:
  /// Shows the outputs to who looks on.
  Recorder(const OpDef& op, Inputs inputs, std::span<OpOutput> outputs);

  /// Puts the operation on the tape when one is there and wants it; returns its node, or nullptr.
  template <class Rule>
  const Node* note(Rule&& rule, AlsoGiven given) {
    if (!tape_) return nullptr;
    return add(Ref<Node>(new RuleNode<std::decay_t<Rule>>(
                   op_, input_gradients(), output_gradients(), std::forward<Rule>(rule))),
               given);
  }
  /// Makes the Variable of output i.
  Variable take(std::size_t i, const Node* node);

 private:
  void check_masks() const;
  PoolVector<Ref<Gradient>> input_gradients() const;
  NodeOutputs output_gradients() const;
  const Node* add(Ref<Node> node, AlsoGiven given);

  const OpDef& op_;
  Inputs inputs_;
  std::span<OpOutput> outputs_;
  Tape* tape_ = nullptr;
};

/// Makes the Variables of an operation's outputs, and records the operation when a tape is there
/// and an input takes gradients.
template <class Rule>
void record(const OpDef& op, Inputs inputs, std::span<OpOutput> outputs,
            std::span<Variable> results, Rule&& rule, AlsoGiven given = {}) {
  Recorder recorder(op, inputs, outputs);
  const Node* node = recorder.note(std::forward<Rule>(rule), given);
  for (std::size_t i = 0; i < results.size(); ++i) results[i] = recorder.take(i, node);
}

/// The same for an operation of one output. `mask` is what the output carries.
template <class Rule>
Variable record(const OpDef& op, Inputs inputs, Tensor output, SequenceMask mask, Rule&& rule,
                AlsoGiven given = {}) {
  OpOutput made{std::move(output), std::move(mask)};
  Recorder recorder(op, inputs, std::span(&made, 1));
  return recorder.take(0, recorder.note(std::forward<Rule>(rule), given));
}

/// The mask that an output of shape `output` carries by op.mask_rule: for kKeeps the one mask of
/// the inputs; for the other rules none, as the operation passes its own to record().
/// Throws Error when two inputs carry different masks, when the output has no place for the mask,
/// and when a mask reaches an operation that does not say what becomes of it.
SequenceMask follow_mask(const OpDef& op, Inputs inputs, const Shape& output);

/// The same for an operation whose output's mask follows from its inputs.
template <class Rule>
Variable record(const OpDef& op, Inputs inputs, Tensor output, Rule&& rule, AlsoGiven given = {}) {
  SequenceMask mask = follow_mask(op, inputs, output.shape());
  return record(op, inputs, std::move(output), std::move(mask), std::forward<Rule>(rule), given);
}

}  // namespace maskgrad
