// How operations record themselves. For whoever writes one.
//
// An operation computes its output and ends with
//   return record(kExp, {&x}, y, [y = Saved(kExp, "output", y)](const Tensor& g, Gradients& grads)
//   {
//     if (grads.needed(0)) grads.set(0, times(g, *y));
//   });
// The rule holds the values that it reads as Saved: inputs, outputs, and masks that the caller
// gave. It is an error when somebody has written to them before the rule runs. The rule gives one
// gradient for each input that needs one. The tape checks their number, dtypes and shapes, sums
// over broadcast dimensions, accumulates, and drops what arrives at masked places. A rule that
// takes `Tensor g` instead of `const Tensor& g` owns g, and may compute in its memory when
// g.is_exclusive(). The rule of an operation with several outputs takes std::span<Tensor>: a
// gradient for each output, undefined where none arrived.
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
/// no mask may be left out at the end. Make it in the call of record(), as it refers to the
/// temporary list of the braces.
class Inputs : public std::span<const Variable* const> {
 public:
  Inputs(std::initializer_list<const Variable*> inputs) : span(inputs.begin(), inputs.size()) {}
  template <class Container>
  Inputs(const Container& inputs) : span(std::data(inputs), std::size(inputs)) {}
};

/// An argument of an operation, or an input that Inputs leaves out, under its name in the
/// description. An input without a value counts as not given. A tape that traces keeps them, so
/// that the call can be printed and run again. Other tapes ignore them.
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
/// All that was given beside Inputs. Make it in the call of record(), as it refers to the temporary
/// list of the braces.
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

/// A gradient rule together with what the operation reads, for inputs with Reach::kByCall. The
/// function `reached` carries marks along a way, as spread() does. It may lack the last parameter.
/// Then it leads forward only, and spread_back() finds the way back:
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
    if (!tape_ || !keeps()) return nullptr;
    return add(Ref<Node>(new RuleNode<std::decay_t<Rule>>(
                   op_, input_gradients(), output_gradients(), std::forward<Rule>(rule))),
               given);
  }
  /// Makes the Variable of output i.
  Variable take(std::size_t i, const Node* node);

 private:
  bool keeps() const;
  void check_masks() const;
  PoolVector<Ref<Gradient>> input_gradients() const;
  Ref<Gradient> gradient_of(const OpOutput& output) const;
  NodeOutputs output_gradients() const;
  const Node* add(Ref<Node> node, AlsoGiven given);

  const OpDef& op_;
  Inputs inputs_;
  std::span<OpOutput> outputs_;
  Tape* tape_ = nullptr;
};

/// Makes the Variables of an operation's outputs. Records the operation when a tape of this thread
/// is there, and an input takes gradients or the tape traces.
/// Throws Error for an output without a value, for outputs that carry different masks where an
/// input is aligned with them, on a tape that has run backward, and for an input that another tape
/// recorded.
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

/// The mask that an output of shape `output` carries by op.mask_rule: the mask of the inputs for
/// kKeeps, none for the other rules, whose operations give record() a mask.
/// Throws Error for kUnset when an input carries a mask. Throws Error for kKeeps when two inputs
/// carry different masks, and when the output does not begin with the positions [B, S] of the mask.
SequenceMask follow_mask(const OpDef& op, Inputs inputs, const Shape& output);

/// The same with the mask of follow_mask(), and its errors.
template <class Rule>
Variable record(const OpDef& op, Inputs inputs, Tensor output, Rule&& rule, AlsoGiven given = {}) {
  SequenceMask mask = follow_mask(op, inputs, output.shape());
  return record(op, inputs, std::move(output), std::move(mask), std::forward<Rule>(rule), given);
}

}  // namespace maskgrad
