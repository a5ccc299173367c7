#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/check/marks.hpp>
#include <maskgrad/tensor/check/poisoned_run.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad::check_detail {
namespace {

Tensor none(const Shape& shape) { return Tensor::zeros(shape, DType::kBool); }

// Marks of a gradient that came in a shape that its input was broadcast to, on the input.
Tensor on_input(const Tensor& marks, const Shape& shape) {
  return sum_to("check_mask_leaks", marks.to(DType::kFloat64), shape).to(DType::kBool);
}

}  // namespace

BlamingRun::BlamingRun(const Tape& trace, const CleanRun& clean, double poison,
                       std::vector<MaskLeak>& leaks)
    : trace_(trace), clean_(clean), poison_(poison), outputs_(outputs_of(trace)), leaks_(leaks) {}

// Which elements of a value differ from the clean run, and those in holes, which hold poison.
Tensor BlamingRun::rubbish(const Gradient& value) const {
  const auto found = of_values_.find(&value);
  return found != of_values_.end() ? found->second : holes_of(value.mask(), value.shape());
}

// Changed elements of an output that is a result, or that were made of masked and other places of
// one input, or of none that is masked.
Tensor BlamingRun::wrong_in_output(const NodeOutput& place, const Tensor& changed) const {
  const Node& node = *trace_.nodes()[place.node];
  const Gradient& output = *node.outputs()[place.output];
  if (place.is_result || output.mask().defined()) return without_holes(changed, output.mask());
  Tensor reached = none(output.shape()), mixed = none(output.shape());
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const Tensor marks = rubbish(*node.inputs()[i]);
    if (!any(marks)) continue;
    const Tensor by_rubbish = node.reached(i, marks, place.output);
    reached = either(reached, by_rubbish);
    mixed = either(mixed, both(by_rubbish, node.reached(i, opposite(marks), place.output)));
  }
  return both(changed, either(mixed, opposite(reached)));
}

void BlamingRun::on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) {
  const Seen& clean = expected(clean_.outputs, next_output_, op.name, output, mask);
  const NodeOutput& place = outputs_[next_output_++];
  Tensor changed = differences(output, clean.value);
  const Tensor wrong = wrong_in_output(place, changed);
  if (any(wrong)) {
    blame(op.name, Scope::path(), "output", output, clean.value, wrong);
    // In place, as the rule of the operation may hold this tensor already.
    output.copy_from(clean.value);
    changed = none(changed.shape());
  }
  poison_holes(output, mask, poison_);
  const Gradient* value = trace_.nodes()[place.node]->outputs()[place.output].get();
  of_values_[value] = either(changed, holes_of(mask, output.shape()));
}

Tensor BlamingRun::may_be_rubbish(const Node& node, std::size_t input) const {
  Tensor may = none(node.inputs()[input]->shape());
  for (std::size_t o = 0; o < node.outputs().size(); ++o) {
    may = either(may, may_be_rubbish(node, input, o));
  }
  return may;
}

// Where a gradient may differ by what comes from one output: where all that arrives for it does, or
// else masked values go into it.
Tensor BlamingRun::may_be_rubbish(const Node& node, std::size_t input, std::size_t o) const {
  const Gradient& output = *node.outputs()[o];
  const auto found = of_gradients_.find(&output);
  const Tensor differs = found != of_gradients_.end() ? found->second : none(output.shape());
  const auto values = [this](const Gradient& value) { return rubbish(value); };
  const Tensor by_some = node.reaching(input, differs, o),
               by_all = both(by_some, opposite(node.reaching(input, opposite(differs), o))),
               by_values = node.reaching(input, values_read(node, input, o, values), o);
  return either(by_all, both(by_values, opposite(by_some)));
}

Tensor BlamingRun::wrong_in_gradient(const Node& node, std::size_t input,
                                     const Tensor& changed) const {
  const Gradient& gathered = *node.inputs()[input];
  if (gathered.is_leaf() || gathered.mask().defined())
    return without_holes(changed, gathered.mask());
  return any(changed) ? both(changed, opposite(may_be_rubbish(node, input))) : changed;
}

void BlamingRun::on_gradient(const Node& recorded, const std::string& layer, std::size_t input,
                             Tensor& grad) {
  const Node& node = *trace_.nodes()[place_.at(&recorded)];
  const Gradient& gathered = *node.inputs()[input];
  const SequenceMask mask = grad.shape() == gathered.shape() ? gathered.mask() : SequenceMask();
  const Seen& clean = expected(clean_.gradients, next_gradient_++, node.op().name, grad, mask);
  const Tensor differ = differences(grad, clean.value);
  Tensor changed = without_holes(on_input(differ, gathered.shape()), gathered.mask());
  const Tensor wrong = wrong_in_gradient(node, input, changed);
  if (any(wrong)) {
    blame(node.op().name, layer, fmt::format("gradient of input {}", input), grad, clean.value,
          differ);
    grad = clean.value;
    changed = none(gathered.shape());
  }
  if (mask.defined()) {
    grad = grad.clone();
    poison_holes(grad, mask, poison_);
  }
  Tensor& marks = of_gradients_[&gathered];
  marks = marks.defined() ? either(marks, changed) : changed;
}

void BlamingRun::blame(const std::string& op, const std::string& layer, const std::string& what,
                       const Tensor& now, const Tensor& clean, const Tensor& wrong) {
  for (const MaskLeak& leak : leaks_) {
    if (leak.op == op && leak.layer == layer && leak.what == what) return;
  }
  const std::int64_t i = first_marked(wrong);
  const auto element = [i](const Tensor& x) { return x.view(i, {}).to(DType::kFloat64).item(); };
  leaks_.push_back({op, layer, what, now.shape(), i, element(clean), element(now), poison_});
}

}  // namespace maskgrad::check_detail
