#include <algorithm>

#include <maskgrad/tensor/check/mask_path.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::check_detail {
namespace {

bool is_hole(const Gradient& value, std::int64_t element) {
  return maskgrad::is_hole(value.mask(), value.shape(), element);
}

// The first marked element of an input on which element `place` of an output can depend, found by
// halving; -1 where there is none.
std::int64_t find_source(const Node& node, std::size_t input, const Tensor& marks,
                         std::size_t output, std::int64_t place) {
  const auto reaches = [&](std::int64_t begin, std::int64_t end) {
    Tensor part = Tensor::zeros(marks.shape(), DType::kBool);
    const bool* all = marks.data<bool>();
    std::copy(all + begin, all + end, part.data<bool>() + begin);
    return any(part) && node.reached(input, part, output).data<bool>()[place];
  };
  std::int64_t begin = 0, end = marks.numel();
  if (!reaches(begin, end)) return -1;
  while (end - begin > 1) {
    const std::int64_t middle = begin + (end - begin) / 2;
    (reaches(begin, middle) ? end : begin) = middle;
  }
  return begin;
}

}  // namespace

std::string name_of(const Tape& tape, std::size_t node) {
  const std::string& layer = tape.scope(node);
  return tape.nodes()[node]->op().name +
         (layer.empty() ? "" : fmt::format(" in layer '{}'", layer));
}

std::string masked_start(const Gradient& value, std::int64_t element, const Node* maker) {
  if (maker && !is_hole(value, element)) return "";
  return fmt::format("element {} of {} is masked{}", element, value.shape(),
                     maker ? ", from " + maker->op().name : "");
}

std::vector<std::string> MaskPath::to_value(std::size_t n, std::size_t output,
                                            std::int64_t element) const {
  const Node& node = *tape_.nodes()[n];
  const std::string last = fmt::format("{} gives element {} of {}", name_of(tape_, n), element,
                                       node.outputs()[output]->shape());
  const Place from = source(node, output, element);
  std::vector<std::string> steps;
  if (from.value) steps = to_place(from, n);
  steps.push_back(last);
  return steps;
}

// To a marked place of a value that node `user` reads.
std::vector<std::string> MaskPath::to_place(const Place& place, std::size_t user) const {
  const std::optional<Maker> maker = maker_of(*place.value, user);
  const Node* node = maker ? tape_.nodes()[maker->node].get() : nullptr;
  const std::string start = start_(*place.value, place.element, node);
  if (!start.empty() || !maker) return {start};
  return to_value(maker->node, maker->output, place.element);
}

// The marked element of an input that an element of an output can depend on.
MaskPath::Place MaskPath::source(const Node& node, std::size_t output, std::int64_t element) const {
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const Gradient* value = node.inputs()[i].get();
    if (!value) continue;
    const std::int64_t from = find_source(node, i, marked_.marks(*value), output, element);
    if (from >= 0) return {value, from};
  }
  return {};
}

// Among the nodes before `user`; none for a leaf.
std::optional<MaskPath::Maker> MaskPath::maker_of(const Gradient& value, std::size_t user) const {
  for (std::size_t n = user; n-- > 0;) {
    const auto outputs = tape_.nodes()[n]->outputs();
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      if (outputs[o].get() == &value) return Maker{n, o};
    }
  }
  return std::nullopt;
}

std::vector<std::string> MaskPath::to_gradient(const Gradient& leaf, std::int64_t element) const {
  std::vector<std::string> back;
  const Gradient* value = &leaf;
  for (;;) {
    const Step step = gradient_source(*value, element);
    const Node& node = *tape_.nodes()[step.node];
    back.push_back(fmt::format("{} {} element {} of the gradient of '{}' {}{}",
                               name_of(tape_, step.node),
                               step.read.value ? "reads it for" : "passes it on to", element,
                               node.op().recorded_name(step.input), value->shape(),
                               value == &leaf ? name_of_leaf(leaf) : ""));
    if (!step.read.value) {
      value = step.arriving.value, element = step.arriving.element;
      continue;
    }
    std::vector<std::string> steps = to_place(step.read, step.node + 1);
    steps.insert(steps.end(), back.rbegin(), back.rend());
    steps.push_back(remedy(step));
    return steps;
  }
}

MaskPath::Step MaskPath::gradient_source(const Gradient& value, std::int64_t element) const {
  for (std::size_t n = tape_.nodes().size(); n-- > 0;) {
    const Node& node = *tape_.nodes()[n];
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      if (node.inputs()[i].get() != &value) continue;
      const Step step = step_at(n, i, element);
      if (step.read.value || step.arriving.value) return step;
    }
  }
  fail("prove_mask", "element {} of a gradient {} comes from nowhere", element, value.shape());
}

// A marked value where there is one; else the gradient that arrives.
MaskPath::Step MaskPath::step_at(std::size_t n, std::size_t input, std::int64_t element) const {
  const Node& node = *tape_.nodes()[n];
  const Tensor marked = mark(node.inputs()[input]->shape(), element);
  Step step{n, input, {}, {}};
  for (std::size_t o = 0; o < node.outputs().size(); ++o) {
    const Tensor places = node.reached(input, marked, o);
    const std::int64_t at = first_marked(both(places, marked_.values_read(node, input, o)));
    if (at >= 0) {
      step.read = value_read(node, input, o, at);
      return step;
    }
    const auto arriving = first_marked(both(places, marked_.read_by_gradient(node, input, o)));
    if (arriving >= 0 && !step.arriving.value) step.arriving = {node.outputs()[o].get(), arriving};
  }
  return step;
}

// The marked value that the gradient of an input reads at a place of an output.
MaskPath::Place MaskPath::value_read(const Node& node, std::size_t input, std::size_t output,
                                     std::int64_t place) const {
  const Reads& reads = node.op().recorded(input).gradient;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const Gradient* value = node.inputs()[i].get();
    if (!value || !reads.covers(node.op().recorded(i).name)) continue;
    const std::int64_t from = find_source(node, i, marked_.marks(*value), output, place);
    if (from >= 0) return {value, from};
  }
  return {node.outputs()[output].get(), place};
}

std::string MaskPath::remedy(const Step& step) const {
  const std::string op = name_of(tape_, step.node);
  const bool by_mask = tape_.nodes()[step.node]->op().recorded(step.input).leaves_out_holes();
  return fmt::format("remedy: fill_masked() what {} reads{}", op,
                     by_mask ? ", or let it have the mask: project first, drop_mask() after" : "");
}

std::string MaskPath::name_of_leaf(const Gradient& value) const {
  for (const auto& [name, leaf] : leaves_) {
    if (leaf.gradient() == &value) return ", which is " + name;
  }
  return "";
}

}  // namespace maskgrad::check_detail
