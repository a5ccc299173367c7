#include <algorithm>

#include <maskgrad/tensor/check/mask_path.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::check_detail {
namespace {

bool is_hole(const GradSlot& slot, std::int64_t element) {
  return maskgrad::is_hole(slot.mask, slot.shape, element);
}

// The first marked element of an input on which element `place` of the output can depend, found by
// halving; -1 where there is none.
std::int64_t find_source(const Node& node, std::size_t input, const Tensor& marks,
                         std::int64_t place) {
  const auto reaches = [&](std::int64_t begin, std::int64_t end) {
    Tensor part = Tensor::zeros(marks.shape(), DType::kBool);
    const bool* all = marks.data<bool>();
    std::copy(all + begin, all + end, part.data<bool>() + begin);
    return any(part) && node.reached(input, part).data<bool>()[place];
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

std::vector<std::string> MaskPath::to_value(std::size_t node, std::int64_t element) const {
  const std::string last = fmt::format("{} gives element {} of {}", name_of(tape_, node), element,
                                       tape_.nodes()[node]->output()->shape);
  const Place from = source(*tape_.nodes()[node], element);
  std::vector<std::string> steps;
  if (from.slot) steps = to_place(from, node);
  steps.push_back(last);
  return steps;
}

// To a marked place of a value that node `user` reads.
std::vector<std::string> MaskPath::to_place(const Place& place, std::size_t user) const {
  const std::size_t maker = maker_of(*place.slot, user);
  if (maker < user && !is_hole(*place.slot, place.element)) return to_value(maker, place.element);
  return {fmt::format("element {} of {} is masked{}", place.element, place.slot->shape,
                      maker < user ? ", from " + tape_.nodes()[maker]->op().name : "")};
}

// The marked element of an input that an element of the output can depend on.
MaskPath::Place MaskPath::source(const Node& node, std::int64_t element) const {
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const GradSlot* slot = node.inputs()[i].get();
    if (!slot) continue;
    const std::int64_t from = find_source(node, i, marked_.marks(*slot), element);
    if (from >= 0) return {slot, from};
  }
  return {};
}

// The node before `user` that made a value; `user` itself for a leaf.
std::size_t MaskPath::maker_of(const GradSlot& slot, std::size_t user) const {
  for (std::size_t i = user; i-- > 0;) {
    if (tape_.nodes()[i]->output().get() == &slot) return i;
  }
  return user;
}

std::vector<std::string> MaskPath::to_gradient(const GradSlot& leaf, std::int64_t element) const {
  std::vector<std::string> back;
  const GradSlot* slot = &leaf;
  for (;;) {
    const Step step = gradient_source(*slot, element);
    const Node& node = *tape_.nodes()[step.node];
    back.push_back(fmt::format(
        "{} {} element {} of the gradient of '{}' {}{}", name_of(tape_, step.node),
        step.value.slot ? "reads it for" : "passes it on to", element,
        node.op().recorded_name(step.input), slot->shape, slot == &leaf ? name_of_leaf(leaf) : ""));
    if (!step.value.slot) {
      slot = node.output().get(), element = step.arriving;
      continue;
    }
    std::vector<std::string> steps = to_place(step.value, step.node + 1);
    steps.insert(steps.end(), back.rbegin(), back.rend());
    steps.push_back(remedy(step));
    return steps;
  }
}

MaskPath::Step MaskPath::gradient_source(const GradSlot& slot, std::int64_t element) const {
  for (std::size_t n = tape_.nodes().size(); n-- > 0;) {
    const Node& node = *tape_.nodes()[n];
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      if (node.inputs()[i].get() != &slot) continue;
      const Step step = step_at(n, i, element);
      if (step.value.slot || step.arriving >= 0) return step;
    }
  }
  fail("prove_mask", "element {} of a gradient {} comes from nowhere", element, slot.shape);
}

MaskPath::Step MaskPath::step_at(std::size_t n, std::size_t input, std::int64_t element) const {
  const Node& node = *tape_.nodes()[n];
  const Tensor places = node.reached(input, mark(node.inputs()[input]->shape, element));
  const std::int64_t at = first_marked(both(places, marked_.values_read(node, input)));
  if (at < 0) {
    return {n, input, {}, first_marked(both(places, marked_.read_by_gradient(node, input)))};
  }
  const Reads& reads = node.op().recorded(input).gradient;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const GradSlot* slot = node.inputs()[i].get();
    if (!slot || !reads.covers(node.op().recorded(i).name)) continue;
    const std::int64_t from = find_source(node, i, marked_.marks(*slot), at);
    if (from >= 0) return {n, input, {slot, from}, -1};
  }
  return {n, input, {node.output().get(), at}, -1};
}

std::string MaskPath::remedy(const Step& step) const {
  const std::string op = name_of(tape_, step.node);
  const bool by_mask = tape_.nodes()[step.node]->op().recorded(step.input).leaves_out_holes();
  return fmt::format("remedy: fill_masked() what {} reads{}", op,
                     by_mask ? ", or let it have the mask: project first, drop_mask() after" : "");
}

std::string MaskPath::name_of_leaf(const GradSlot& slot) const {
  for (const auto& [name, leaf] : leaves_) {
    if (leaf.slot().get() == &slot) return ", which is " + name;
  }
  return "";
}

}  // namespace maskgrad::check_detail
