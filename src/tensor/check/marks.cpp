#include <algorithm>
#include <cstdint>
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

void MarkedTape::mark_memory(const Tensor& value, const Tensor& marks) {
  check_given(value.defined() && marks.defined(), "marks", "a memory or its marks");
  check(value.shape() == marks.shape(), "marks", "marks of {} do not fit a value of {}",
        marks.shape(), value.shape());
  memory_ = value;
  memory_marks_ = marks;
}

Tensor MarkedTape::find(const Marks& marks, const Gradient& value) {
  const auto found = marks.find(&value);
  return found != marks.end() ? found->second : Tensor::zeros(value.shape(), DType::kBool);
}

void MarkedTape::run(bool holes) {
  for (const Ref<Node>& node : tape_.nodes()) {
    for (std::size_t i = 0; i < node->inputs().size(); ++i) {
      const Gradient* input = node->inputs()[i].get();
      if (!input) continue;
      Tensor of_input = marks(*input).clone();
      if (memory_.defined()) of_input = either(of_input, memory_marks(*node, i));
      if (holes) mark_holes(of_input, input->mask());
      values_[input] = of_input;
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
  if (memory_.defined() && reads_marks_beside(node)) found.fill(true);
  return found;
}

// The marks that an input has by its memory.
Tensor MarkedTape::memory_marks(const Node& node, std::size_t input) const {
  const Shape& shape = node.inputs()[input]->shape();
  if (node.call()) {
    const auto found = node.call()->inputs.find(node.op().recorded_name(input));
    if (found != node.call()->inputs.end()) {
      return marks_in_view(found->second.value(), memory_, memory_marks_);
    }
  }
  return Tensor::zeros(shape, DType::kBool);
}

// Whether something marked was given beside the recorded inputs.
bool MarkedTape::reads_marks_beside(const Node& node) const {
  if (!node.call()) return false;
  std::set<std::string> recorded;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    recorded.insert(node.op().recorded_name(i));
  }
  const auto is_marked = [&](const auto& given) {
    const auto& [name, x] = given;
    if (recorded.contains(name)) return false;
    return any(marks_in_view(x.value(), memory_, memory_marks_)) ||
           (x.gradient() && any(marks(*x.gradient())));
  };
  return std::any_of(node.call()->inputs.begin(), node.call()->inputs.end(), is_marked);
}

Tensor marks_in_view(const Tensor& view, const Tensor& memory, const Tensor& marks) {
  Tensor found = Tensor::zeros(view.shape(), DType::kBool);
  if (view.device().type != DeviceType::kCpu || view.dtype() != memory.dtype()) return found;
  const auto address = [](const Tensor& x) {
    return reinterpret_cast<std::intptr_t>(x.raw_data());
  };
  const std::int64_t bytes = address(view) - address(memory);
  const std::int64_t first = bytes / static_cast<std::int64_t>(size_of(view.dtype()));
  const std::int64_t begin = std::max<std::int64_t>(0, -first);
  const std::int64_t end = std::min(view.numel(), memory.numel() - first);
  if (begin < end) {
    const bool* from = marks.data<bool>() + first;
    std::copy(from + begin, from + end, found.data<bool>() + begin);
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
