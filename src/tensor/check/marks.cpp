#include <algorithm>
#include <set>

#include <maskgrad/tensor/check/marks.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad {
namespace {

void mark_holes(Tensor& marks, const SequenceMask& mask) {
  if (mask.defined()) fill_holes(marks, mask, true);
}

void check_markable(const Variable& x, const Tensor& marks) {
  check_given(x.defined() && marks.defined(), "prove_mask", "a value or its marks");
  check(x.slot().get() != nullptr, "prove_mask", "a constant takes no marks");
}

}  // namespace

void MarkedTape::mark(const Variable& leaf, const Tensor& marks) {
  check_markable(leaf, marks);
  values_[leaf.slot().get()] = marks;
}

void MarkedTape::mark_gradient(const Variable& x, const Tensor& marks) {
  check_markable(x, marks);
  gradients_[x.slot().get()] = marks;
}

Tensor MarkedTape::find(const Marks& marks, const GradSlot& slot) {
  const auto found = marks.find(&slot);
  return found != marks.end() ? found->second : Tensor::zeros(slot.shape, DType::kBool);
}

void MarkedTape::run(bool holes) {
  for (const Ref<Node>& node : tape_.nodes()) {
    Tensor of_output = Tensor::zeros(node->output()->shape, DType::kBool);
    for (std::size_t i = 0; i < node->inputs().size(); ++i) {
      const GradSlot* slot = node->inputs()[i].get();
      if (!slot) continue;
      Tensor of_input = marks(*slot).clone();
      if (holes) mark_holes(of_input, slot->mask);
      if (any(of_input)) of_output = either(of_output, node->reached(i, of_input));
      values_[slot] = of_input;
    }
    if (holes) mark_holes(of_output, node->output()->mask);
    values_[node->output().get()] = of_output;
  }
}

void MarkedTape::run_back() {
  for (std::size_t n = tape_.nodes().size(); n-- > 0;) {
    const Node& node = *tape_.nodes()[n];
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const GradSlot* slot = node.inputs()[i].get();
      if (!slot || slot->is_constant) continue;
      const Tensor read = read_by_gradient(node, i);
      if (!any(read)) continue;
      Tensor into = node.reaching(i, read);
      if (slot->tape == 0) into = without_holes(into, slot->mask);
      gradients_[slot] = either(gradient_marks(*slot), into);
    }
  }
}

Tensor MarkedTape::read_by_gradient(const Node& node, std::size_t input) const {
  const GradSlot& output = *node.output();
  return either(values_read(node, input), without_holes(gradient_marks(output), output.mask));
}

Tensor MarkedTape::values_read(const Node& node, std::size_t input) const {
  return maskgrad::values_read(node, input, [this](const GradSlot& slot) { return marks(slot); });
}

std::vector<bool> find_results(const Tape& tape) {
  std::set<const GradSlot*> read;
  for (const Ref<Node>& node : tape.nodes()) {
    for (const Ref<GradSlot>& input : node->inputs()) read.insert(input.get());
  }
  std::vector<bool> found;
  for (const Ref<Node>& node : tape.nodes()) found.push_back(!read.contains(node->output().get()));
  return found;
}

Tensor values_read(const Node& node, std::size_t input,
                   const std::function<Tensor(const GradSlot&)>& marks_of) {
  const OpDef& op = node.op();
  const GradSlot& output = *node.output();
  const InputSpec& spec = op.recorded(input);
  Tensor read = Tensor::zeros(output.shape, DType::kBool);
  const bool reads_output =
      std::any_of(op.outputs.begin(), op.outputs.end(),
                  [&](const auto& name) { return spec.gradient.covers(name); });
  if (reads_output) read = marks_of(output);
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const GradSlot* slot = node.inputs()[i].get();
    if (!slot || !spec.gradient.covers(op.recorded(i).name)) continue;
    const Tensor marks = marks_of(*slot);
    if (any(marks)) read = either(read, node.reached(i, marks));
  }
  return spec.leaves_out_holes() ? without_holes(read, output.mask) : read;
}

}  // namespace maskgrad
