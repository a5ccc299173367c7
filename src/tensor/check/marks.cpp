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
  check(x.gradient() != nullptr, "prove_mask", "a constant takes no marks");
}

}  // namespace

void MarkedTape::mark(const Variable& leaf, const Tensor& marks) {
  check_markable(leaf, marks);
  values_[leaf.gradient()] = marks;
}

void MarkedTape::mark_gradient(const Variable& x, const Tensor& marks) {
  check_markable(x, marks);
  gradients_[x.gradient()] = marks;
}

Tensor MarkedTape::find(const Marks& marks, const Gradient& value) {
  const auto found = marks.find(&value);
  return found != marks.end() ? found->second : Tensor::zeros(value.shape(), DType::kBool);
}

void MarkedTape::run(bool holes) {
  for (const Ref<Node>& node : tape_.nodes()) {
    for (const Ref<Gradient>& input : node->inputs()) {
      if (!input) continue;
      Tensor of_input = marks(*input).clone();
      if (holes) mark_holes(of_input, input->mask());
      values_[input.get()] = of_input;
    }
    for (std::size_t o = 0; o < node->outputs().size(); ++o) {
      const Gradient& output = *node->outputs()[o];
      Tensor of_output = reached(*node, o);
      if (holes) mark_holes(of_output, output.mask());
      values_[&output] = of_output;
    }
  }
}

// Of output o: where it can depend on a marked place of any input.
Tensor MarkedTape::reached(const Node& node, std::size_t o) const {
  Tensor found = Tensor::zeros(node.outputs()[o]->shape(), DType::kBool);
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    if (!node.inputs()[i]) continue;
    const Tensor of_input = marks(*node.inputs()[i]);
    if (any(of_input)) found = either(found, node.reached(i, of_input, o));
  }
  return found;
}

void MarkedTape::run_back() {
  for (std::size_t n = tape_.nodes().size(); n-- > 0;) {
    const Node& node = *tape_.nodes()[n];
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const Gradient* input = node.inputs()[i].get();
      if (!input || input->is_constant()) continue;
      for (std::size_t o = 0; o < node.outputs().size(); ++o) {
        const Tensor read = read_by_gradient(node, i, o);
        if (!any(read)) continue;
        Tensor into = node.reaching(i, read, o);
        if (input->is_leaf()) into = without_holes(into, input->mask());
        gradients_[input] = either(gradient_marks(*input), into);
      }
    }
  }
}

Tensor MarkedTape::read_by_gradient(const Node& node, std::size_t input, std::size_t o) const {
  const Gradient& output = *node.outputs()[o];
  return either(values_read(node, input, o), without_holes(gradient_marks(output), output.mask()));
}

Tensor MarkedTape::values_read(const Node& node, std::size_t input, std::size_t o) const {
  return maskgrad::values_read(node, input, o,
                               [this](const Gradient& value) { return marks(value); });
}

std::vector<NodeOutput> outputs_of(const Tape& tape) {
  std::set<const Gradient*> read;
  for (const Ref<Node>& node : tape.nodes()) {
    for (const Ref<Gradient>& input : node->inputs()) read.insert(input.get());
  }
  std::vector<NodeOutput> found;
  for (std::size_t n = 0; n < tape.nodes().size(); ++n) {
    const auto outputs = tape.nodes()[n]->outputs();
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      found.push_back({n, o, !read.contains(outputs[o].get())});
    }
  }
  return found;
}

Tensor values_read(const Node& node, std::size_t input, std::size_t o,
                   const std::function<Tensor(const Gradient&)>& marks_of) {
  const OpDef& op = node.op();
  const Gradient& output = *node.outputs()[o];
  const InputSpec& spec = op.recorded(input);
  Tensor read = Tensor::zeros(output.shape(), DType::kBool);
  if (spec.gradient.covers(op.output_name(o))) read = marks_of(output);
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const Gradient* value = node.inputs()[i].get();
    if (!value || !spec.gradient.covers(op.recorded(i).name)) continue;
    const Tensor marks = marks_of(*value);
    if (any(marks)) read = either(read, node.reached(i, marks, o));
  }
  return spec.leaves_out_holes() ? without_holes(read, output.mask()) : read;
}

}  // namespace maskgrad
