#include <algorithm>
#include <atomic>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/autograd/watched.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

// Drops what arrived at masked places: written, so that a NaN born there dies there. What others
// hold too is copied first, unless nothing is there to be dropped: on a device that is not looked
// at.
void drop_holes(Tensor& grad, const SequenceMask& mask) {
  if (!mask.defined()) return;
  if (!grad.is_exclusive()) {
    if (grad.device().type == DeviceType::kCpu && holes_hold(grad, mask, 0.0)) return;
    grad = grad.clone();
  }
  fill_holes(grad, mask, 0.0);
}

// True when the input stands aligned with the output under broadcasting.
bool is_elementwise(const OpDef& op, std::size_t input) {
  return op.recorded(input).reach == Reach::kElement;
}

std::uint64_t next_tape_id() {
  static std::atomic<std::uint64_t> last{0};  // 0 marks leaves
  return ++last;
}

}  // namespace

Tensor Node::described_reach(std::size_t input, const Tensor& marked, const Way& way) const {
  const InputSpec& spec = op_.recorded(input);
  check(spec.reach != Reach::kByCall, op_.name.c_str(),
        "input '{}': its reach depends on the call, and the rule does not tell it", spec.name);
  return spread(spec.reach, marked, way);
}

// A leaf that is an input twice gets its two gradients added, so neither may claim its buffer.
bool Gradients::may_claim(std::size_t input) const {
  const GradSlot& slot = *inputs_[input];
  return slot.is_bound && !slot.has_grad &&
         std::count(inputs_.begin(), inputs_.end(), inputs_[input]) == 1;
}

Tensor Gradients::buffer(std::size_t input) {
  GradSlot& slot = *inputs_[input];
  slot.dirty_rows.reset();
  values_[input] =
      may_claim(input) ? slot.grad : Tensor::empty(slot.shape, slot.dtype, slot.device);
  return values_[input];
}

Tensor Gradients::zeros(std::size_t input, PoolVector<std::int64_t> rows) {
  GradSlot& slot = *inputs_[input];
  if (!may_claim(input)) return values_[input] = Tensor::zeros(slot.shape, slot.dtype, slot.device);
  slot.clear_buffer();
  slot.dirty_rows = std::move(rows);
  return values_[input] = slot.grad;
}

Tape::Tape(Options options) : id_(next_tape_id()), options_(options), recording_(this) {}

void Tape::show_output(const OpDef& op, Tensor& output, const SequenceMask& mask) {
  check_given(output.defined(), op.name.c_str(), "its output");
  const Tape* tape = current();
  if (!tape || !tape->options_.observer) return;
  const UnseenWrites unseen(output);  // the rule may hold it already, and is to read what it gets
  tape->options_.observer->on_output(op, output, mask);
}

bool Tape::wants_record(std::span<const Variable* const> inputs) {
  const Tape* tape = current();
  if (!tape) return false;
  if (tape->options_.trace) return true;
  for (const Variable* input : inputs) {
    if (input->requires_grad()) return true;
  }
  return false;
}

void Tape::add(Ref<Node> node) {
  nodes_.push_back(std::move(node));
  if (options_.trace) {
    const auto inputs = nodes_.back()->inputs();
    nodes_.back()->output()->is_constant =
        std::all_of(inputs.begin(), inputs.end(),
                    [](const Ref<GradSlot>& input) { return input->is_constant; });
  }
  if (options_.trace || options_.observer) scopes_.push_back(Scope::path());
  if (options_.observer) options_.observer->on_record(*nodes_.back());
}

// While tracing a constant has one too, so that what its mask says is not lost.
Ref<GradSlot> Tape::slot_of(const Variable& x) {
  if (x.slot_ || !current() || !current()->options_.trace) return x.slot_;
  auto slot = make_ref<GradSlot>(x.value(), x.mask(), std::uint64_t{0});
  slot->is_constant = true;
  return slot;
}

Variable Tape::make_output(Tensor value, SequenceMask mask, Ref<GradSlot> slot) {
  Variable output;
  output.value_ = std::move(value);
  output.mask_ = std::move(mask);
  output.slot_ = std::move(slot);
  return output;
}

PoolVector<Ref<GradSlot>> Tape::input_slots(const OpDef& op,
                                            std::span<const Variable* const> inputs) {
  check(!used_, op.name.c_str(), "cannot be recorded on a tape that has run backward");
  PoolVector<Ref<GradSlot>> slots;
  slots.reserve(inputs.size());
  for (const Variable* input : inputs) {
    const Ref<GradSlot> slot = slot_of(*input);
    check(!slot || slot->tape == 0 || slot->tape == id_, op.name.c_str(),
          "got an input that another tape recorded");
    slots.push_back(slot);
  }
  return slots;
}

Ref<GradSlot> Tape::output_slot(const Tensor& value, const SequenceMask& mask) const {
  return make_ref<GradSlot>(value, mask, id_);
}

void Tape::backward(const Variable& root, double seed) {
  check_given(root.defined(), "backward", "the result");
  check(root.shape().numel() == 1, "backward",
        "needs a single element, got {}; sum it or give a grad_output", root.shape());
  backward(root, Tensor::full(root.shape(), seed, root.dtype(), root.device()));
}

void Tape::backward(const Variable& root, const Tensor& grad_output) {
  check_given(root.defined(), "backward", "the result");
  check_given(grad_output.defined(), "backward", "grad_output");
  check(!used_, "backward", "this tape has run backward already; record the forward pass again");
  check(!options_.trace, "backward", "a tape that traces does not run backward");
  check(root.requires_grad(), "backward", "the value depends on nothing that takes gradients");
  check(root.slot_->tape == id_ || root.slot_->tape == 0, "backward",
        "the value was not recorded on this tape");
  check(grad_output.shape() == root.shape() && grad_output.dtype() == root.dtype(), "backward",
        "grad_output is {} {}, the value {} {}", to_string(grad_output.dtype()),
        grad_output.shape(), to_string(root.dtype()), root.shape());
  accumulate("backward", 0, *root.slot_, grad_output);
  used_ = true;
  const NoGrad no_grad;
  run_backward();
}

void Tape::run_backward() {
  for (; !nodes_.empty(); nodes_.pop_back()) {
    const Ref<Node> node = std::move(nodes_.back());
    GradSlot& output = *node->output();
    if (!output.has_grad) continue;
    drop_holes(output.grad, output.mask);
    Gradients grads(node->inputs());
    node->backward(std::exchange(output.grad, Tensor()), grads);
    drop_made_of_holes(*node, grads);
    for (std::size_t i = 0; i < node->inputs().size(); ++i) {
      if (!grads.needed(i)) continue;
      if (options_.observer) {
        options_.observer->on_gradient(*node, scope(nodes_.size() - 1), i, grads.values_[i]);
      }
      accumulate(node->op().name.c_str(), i, *node->inputs()[i], std::move(grads.values_[i]));
    }
  }
}

// A rule reads values, and anything may stand in their holes: 0 * NaN is NaN. What it made of them
// is dropped before it is summed into the gradient of an input that has no such holes.
void Tape::drop_made_of_holes(const Node& node, Gradients& grads) {
  const GradSlot& output = *node.output();
  if (!output.mask.defined()) return;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    Tensor& grad = grads.values_[i];
    const bool at_risk = grads.needed(i) && grad.defined() && is_elementwise(node.op(), i) &&
                         grad.shape() == output.shape;
    if (at_risk && !(node.inputs()[i]->mask == output.mask)) drop_holes(grad, output.mask);
  }
}

void Tape::accumulate(const char* op, std::size_t input, GradSlot& slot, Tensor grad) {
  check(grad.defined(), op, "gave no gradient for input {}", input);
  const bool is_broadcast = grad.shape() != slot.shape;
  check(grad.dtype() == slot.dtype && (!is_broadcast || can_broadcast(slot.shape, grad.shape())),
        op, "gave a gradient of {} {} for input {} of {} {}", to_string(grad.dtype()), grad.shape(),
        input, to_string(slot.dtype), slot.shape);
  check(grad.device() == slot.device, op, "gave a gradient on {} for input {} on {}",
        to_string(grad.device().type), input, to_string(slot.device.type));
  if (is_broadcast) grad = sum_to(op, grad, slot.shape);
  if (slot.tape == 0) drop_holes(grad, slot.mask);
  if (!grad.is_same_view(slot.grad)) slot.dirty_rows.reset();
  if (slot.has_grad) {
    if (!slot.is_bound && !slot.grad.is_exclusive()) slot.grad = slot.grad.clone();
    add_into(slot.grad, grad);
  } else if (slot.is_bound) {
    slot.grad.copy_from(grad);
  } else {
    // A leaf's gradient may be written to, so it shares no memory with what else holds this one.
    const bool is_shared = slot.tape == 0 && !grad.is_exclusive();
    slot.grad = is_shared ? grad.clone() : std::move(grad);
  }
  slot.has_grad = true;
}

SequenceMask follow_mask(const OpDef& op, std::span<const Variable* const> inputs,
                         const Shape& output) {
  const Variable* masked = nullptr;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Variable* input = inputs[i];
    if (!input->mask().defined()) continue;
    check(op.mask_rule != MaskRule::kUnset, op.name.c_str(),
          "got a mask and does not say what becomes of it; use drop_mask() if it should end here");
    check(!masked || op.mask_rule != MaskRule::kKeeps || input->mask() == masked->mask(),
          op.name.c_str(),
          "the inputs carry different masks: name intersect_masks() or unite_masks(), or "
          "drop_mask() one of them");
    check(op.mask_rule != MaskRule::kKeeps || !is_elementwise(op, i) ||
              input->rank() == output.rank(),
          op.name.c_str(),
          "would lose the mask: broadcasting {} to {} moves its positions; use drop_mask() if it "
          "should end here",
          input->shape(), output);
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
