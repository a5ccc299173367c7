#include <algorithm>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/autograd/watched.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/mask_checks.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

void show(TapeObserver& observer, const OpDef& op, OpOutput& output) {
  const UnseenWrites unseen(output.value);  // the rule may hold it, and is to read what it gets
  observer.on_output(op, output.value, output.mask);
}

bool takes_gradients(Inputs inputs) {
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const Variable* input) { return input->requires_grad(); });
}

// Puts one thing that was given into the call: an input, where it has a value, or an argument.
struct IntoCall {
  OpCall& call;
  std::string name;

  void operator()(const Variable* x) {
    if (x->defined()) call.inputs.insert_or_assign(name, *x);
  }
  void operator()(const Tensor* x) {
    if (x->defined()) call.inputs.insert_or_assign(name, Variable(*x));
  }
  void operator()(const SequenceMask* mask) {
    if (mask->defined()) call.inputs.insert_or_assign(name, Variable(mask->bits()));
  }
  void operator()(const AttentionMask* mask) {
    if (mask->defined()) call.inputs.insert_or_assign(name, Variable(mask->to_bits()));
  }
  void operator()(std::string_view x) { call.args.insert_or_assign(name, std::string(x)); }
  void operator()(std::span<const std::int64_t> x) {
    call.args.insert_or_assign(name, std::vector<std::int64_t>(x.begin(), x.end()));
  }
  template <class T>
  void operator()(T x) {
    call.args.insert_or_assign(name, x);
  }
};

// Null when something is missing that the description names.
std::unique_ptr<const OpCall> whole_call(const OpDef& op, Inputs inputs, AlsoGiven given) {
  auto call = std::make_unique<OpCall>();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]->defined()) call->inputs.emplace(op.recorded_name(i), *inputs[i]);
  }
  for (const Given& one : given) {
    const std::string number = one.number < 0 ? "" : std::to_string(one.number);
    std::visit(IntoCall{*call, one.name + number}, one.value);
  }
  const bool has_inputs =
      std::all_of(op.inputs.begin(), op.inputs.end(), [&](const InputSpec& spec) {
        return spec.optional || spec.repeated || call->has(spec.name);
      });
  const bool has_args = std::all_of(op.args.begin(), op.args.end(), [&](const ArgSpec& spec) {
    return call->args.contains(spec.name);
  });
  return has_inputs && has_args ? std::move(call) : nullptr;
}

}  // namespace

Recorder::Recorder(const OpDef& op, Inputs inputs, std::span<OpOutput> outputs)
    : op_(op), inputs_(inputs), outputs_(outputs) {
  Tape* tape = Tape::current();
  for (OpOutput& output : outputs_) {
    check_given(output.value.defined(), op.name.c_str(), "its output");
    if (tape && tape->options_.observer) show(*tape->options_.observer, op, output);
  }
  if (tape && (tape->options_.trace || takes_gradients(inputs))) tape_ = tape;
  if (outputs_.size() > 1) check_masks();
}

// What is made of the holes of an input is dropped by the mask of the outputs, so they need one.
void Recorder::check_masks() const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!op_.is_elementwise(i)) continue;
    for (const OpOutput& output : outputs_) {
      check(output.mask == outputs_.front().mask, op_.name.c_str(),
            "its outputs carry different masks, though they are aligned with input {}", i);
    }
  }
}

// False on a tape that only finds out what takes gradients.
bool Recorder::keeps() const {
  if (!tape_->dry_) return true;
  for (const Variable* input : inputs_) {
    if (input->requires_grad()) tape_->note_read(op_.name.c_str(), *input);
  }
  return false;
}

PoolVector<Ref<Gradient>> Recorder::input_gradients() const {
  check(!tape_->used_, op_.name.c_str(), "cannot be recorded on a tape that has run backward");
  PoolVector<Ref<Gradient>> gradients;
  gradients.reserve(inputs_.size());
  for (const Variable* input : inputs_) {
    Ref<Gradient> gradient = Tape::gradient_of(*input, tape_);
    if (gradient) tape_->check_knows(op_.name.c_str(), *gradient);
    gradients.push_back(std::move(gradient));
  }
  return gradients;
}

Ref<Gradient> Recorder::gradient_of(const OpOutput& output) const {
  return make_ref<Gradient>(output.value, output.mask, tape_->id_);
}

NodeOutputs Recorder::output_gradients() const {
  if (outputs_.size() == 1) return NodeOutputs(gradient_of(outputs_[0]));
  PoolVector<Ref<Gradient>> gradients;
  gradients.reserve(outputs_.size());
  for (const OpOutput& output : outputs_) gradients.push_back(gradient_of(output));
  return NodeOutputs(std::move(gradients));
}

const Node* Recorder::add(Ref<Node> node, AlsoGiven given) {
  if (tape_->options_.trace) node->call_ = whole_call(op_, inputs_, given);
  const Node* added = node.get();
  tape_->add(std::move(node));
  return added;
}

Variable Recorder::take(std::size_t i, const Node* node) {
  Variable result;
  if (tape_) result.gradient_ = node ? node->outputs()[i] : gradient_of(outputs_[i]);
  result.value_ = std::move(outputs_[i].value);
  result.mask_ = std::move(outputs_[i].mask);
  return result;
}

SequenceMask follow_mask(const OpDef& op, Inputs inputs, const Shape& output) {
  const Variable* masked = nullptr;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Variable* input = inputs[i];
    if (!input->mask().defined()) continue;
    check(op.mask_rule != MaskRule::kUnset, op.name.c_str(),
          "got a mask and does not say what becomes of it; use drop_mask() if it should end here");
    if (op.mask_rule == MaskRule::kKeeps) {
      if (masked) check_same_mask(op.name.c_str(), input->mask(), masked->mask());
      if (op.is_elementwise(i)) check_positions_stay(op.name.c_str(), input->shape(), output);
    }
    masked = input;
  }
  if (!masked || op.mask_rule != MaskRule::kKeeps) return {};
  check(output.starts_with(masked->mask().shape()), op.name.c_str(),
        "would lose the mask: its output {} does not start with the positions {}; use drop_mask() "
        "if it should end here",
        output, masked->mask().shape());
  return masked->mask();
}

}  // namespace maskgrad
