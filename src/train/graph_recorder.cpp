#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/train/graph_recorder.hpp>

namespace maskgrad {
namespace {

GraphDims dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

// A path as TensorBoard and TensorFlow take names: letters, digits and "_.-", slashes between.
std::string as_name(std::string_view path) {
  std::string name;
  for (const char c : path) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_plain = is_letter || (c >= '0' && c <= '9') || c == '_' || c == '-';
    name += c == '.' ? '/' : is_plain ? c : '_';
  }
  if (!name.empty() && (name[0] == '_' || name[0] == '-')) name.insert(0, "x");
  return name;
}

std::string within(std::string_view path, std::string_view name) {
  return path.empty() ? as_name(name) : as_name(path) + "/" + as_name(name);
}

bool is_same(const SequenceMask& a, const SequenceMask& b) {
  return a.bits().is_same_view(b.bits());
}

// "causal" for such pairs.
std::string pattern_of(const Tensor& bits) {
  const Shape& shape = bits.shape();
  if (shape.rank() != 4 || shape[2] != shape[3]) return "";
  const AttentionMask causal = AttentionMask::causal(shape[2]);
  return AttentionMask::bits(bits) == causal ? "causal" : "";
}

}  // namespace

GraphRecorder::GraphRecorder(const ParameterBuffer& parameters, const Batch& batch)
    : batch_(batch) {
  for (const ParameterBuffer::Entry& entry : parameters.entries()) {
    const Variable& x = entry.parameter->variable();
    know(x, add_value(as_name(entry.name), "VariableV2", x.dtype(), x.shape()));
  }
}

std::string GraphRecorder::unique(std::string name) {
  const std::string base = std::move(name);
  name = base;
  for (int n = 1; names_.contains(name); ++n) name = fmt::format("{}_{}", base, n);
  // Nor shall a node have the name of a box.
  for (std::size_t end = name.find('/'); end != std::string::npos; end = name.find('/', end + 1)) {
    names_.insert(name.substr(0, end));
  }
  names_.insert(name);
  return name;
}

std::string GraphRecorder::add(GraphNode node) {
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().name;
}

std::string GraphRecorder::add_value(const std::string& name, const char* op, DType dtype,
                                     const Shape& shape) {
  return add({.name = unique(name), .op = op, .dtype = dtype, .outputs = {dims_of(shape)}});
}

// The value is kept, so that its memory is no other's.
void GraphRecorder::know(const Variable& value, const std::string& source) {
  if (value.gradient()) by_gradient_[value.gradient()] = source;
  values_.push_back({value, source});
}

std::vector<GraphRecorder::Input> GraphRecorder::inputs_of(const Node& node) {
  std::vector<Input> inputs;
  const OpCall* call = node.call();
  std::set<std::string> recorded;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const std::string name = node.op().recorded_name(i);
    const auto found = call ? call->inputs.find(name) : decltype(call->inputs.end()){};
    const bool is_told = call && found != call->inputs.end();
    inputs.push_back({name, node.inputs()[i].get(), is_told ? &found->second : nullptr});
    recorded.insert(name);
  }
  if (!call) return inputs;
  for (const auto& [name, value] : call->inputs) {
    if (!recorded.contains(name)) inputs.push_back({name, nullptr, &value});
  }
  return inputs;
}

// Of constants only their memory tells which they are.
const std::string* GraphRecorder::find_value(const Variable& value) const {
  const std::string* found = nullptr;
  for (const Known& known : values_) {
    if (!known.value.value().is_same_view(value.value())) continue;
    const bool masked = known.value.mask().defined() && value.mask().defined();
    if (masked ? is_same(known.value.mask(), value.mask()) : !known.value.mask().defined()) {
      found = &known.source;
    }
  }
  return found;
}

// A tensor of the batch, or a part of one; "" for another value.
std::string GraphRecorder::placeholder_of(const Tensor& value) {
  const auto add_for = [&](std::string_view name, const Tensor& tensor) -> std::string {
    if (!tensor.defined() || !Watched(tensor).shares_memory_with(value)) return "";
    const Variable whole(tensor);
    if (const std::string* known = find_value(whole)) return *known;
    const std::string source =
        add_value(as_name(name), "Placeholder", tensor.dtype(), tensor.shape());
    know(whole, source);
    return source;
  };
  std::string source = add_for("inputs", batch_.inputs);
  if (source.empty()) source = add_for("targets", batch_.targets);
  if (source.empty()) source = add_for("ids", batch_.ids);
  for (const BatchTensor& other : batch_.others) {
    if (source.empty()) source = add_for(other.name, other.tensor);
  }
  return source;
}

std::string GraphRecorder::source_of(const Input& input) {
  const auto made = by_gradient_.find(input.gradient);
  if (made != by_gradient_.end()) return made->second;
  if (!input.value) {  // a constant of an operation that does not tell its call
    const std::string name = within(Scope::path(), input.name);
    return by_gradient_[input.gradient] =
               add_value(name, "Const", input.gradient->dtype(), input.gradient->shape());
  }
  const auto again = by_gradient_.find(input.value->gradient());
  if (again != by_gradient_.end()) return again->second;
  if (const std::string* known = find_value(*input.value)) return *known;
  std::string source = placeholder_of(input.value->value());
  if (!source.empty()) return source;
  source = add_value(within(Scope::path(), input.name), "Const", input.value->dtype(),
                     input.value->shape());
  know(*input.value, source);
  return source;
}

const std::string* GraphRecorder::find_mask(const Tensor& bits) const {
  for (const KnownMask& known : masks_) {
    const bool is_copy = !known.mask.defined() && is_identical(known.bits, bits);
    if (known.bits.is_same_view(bits) || is_copy) return &known.node;
  }
  return nullptr;
}

std::string GraphRecorder::add_mask(const Tensor& bits, const SequenceMask& mask,
                                    const std::string& maker) {
  const bool is_of_pairs = !mask.defined() && bits.rank() == 4;
  GraphNode node = {.name = unique(is_of_pairs ? "pairs" : "mask"),
                    .op = "Mask",
                    .dtype = DType::kBool,
                    .outputs = {dims_of(bits.shape())}};
  if (!maker.empty()) node.inputs.push_back(maker);
  if (const std::string pattern = pattern_of(bits); !pattern.empty()) {
    node.notes["pattern"] = pattern;
  }
  masks_.push_back({bits, mask, node.name});
  return add(std::move(node));
}

// The mask of a value, which `carrier` made where no other node did; "" for none.
std::string GraphRecorder::mask_of(const SequenceMask& mask, const std::string& carrier) {
  if (!mask.defined()) return "";
  if (const std::string* known = find_mask(mask.bits())) return *known;
  return add_mask(mask.bits(), mask, carrier);
}

// A mask that was given to an operation by itself. The bits of pairs are copied for each call.
std::string GraphRecorder::given_mask(const Tensor& bits) {
  if (const std::string* known = find_mask(bits)) return *known;
  return add_mask(bits, {}, placeholder_of(bits));
}

// What an operation does with masks, in a word.
MaskRule GraphRecorder::deed_of(const Masks& masks, MaskRule rule) {
  if (masks.is_new) return masks.carried.empty() ? MaskRule::kMakes : MaskRule::kChanges;
  if (rule == MaskRule::kUses || masks.carried.empty() || !masks.given.empty()) {
    return MaskRule::kUses;
  }
  if (masks.out.empty()) return MaskRule::kEnds;
  const bool passes_on = std::ranges::count(masks.carried, masks.out) > 0;
  return passes_on ? MaskRule::kKeeps : MaskRule::kChanges;
}

// Edges from the masks that the node does not just pass on.
void GraphRecorder::read_masks(GraphNode& node, const Masks& masks, MaskRule rule) {
  const auto read = [&](const std::string& mask) {
    const std::string edge = "^" + mask;
    if (std::ranges::count(node.inputs, edge) == 0) node.inputs.push_back(edge);
  };
  if (masks.carried.empty() && masks.given.empty() && masks.out.empty()) return;
  for (const std::string& mask : masks.given) read(mask);
  for (const std::string& mask : masks.carried) {
    if (rule == MaskRule::kUses || mask != masks.out) read(mask);
  }
  node.notes["mask"] = to_string(deed_of(masks, rule));
  if (!masks.carried.empty()) node.notes["mask_in"] = masks.carried.front();
  if (!masks.out.empty()) node.notes["mask_out"] = masks.out;
}

// What the operation reads, masks apart.
void GraphRecorder::read_inputs(const Node& recorded, GraphNode& node, Masks& masks) {
  const SequenceMask& out = recorded.outputs().front()->mask();
  for (const Input& input : inputs_of(recorded)) {
    if (!input.gradient && input.value->dtype() == DType::kBool) {
      const Tensor& bits = input.value->value();
      const bool is_output =
          out.defined() && bits.is_same_view(out.bits()) && !find_mask(out.bits());
      if (!is_output) masks.given.push_back(given_mask(bits));
      continue;
    }
    const std::string source = source_of(input);
    node.inputs.push_back(source);
    const SequenceMask& carried = input.value ? input.value->mask() : input.gradient->mask();
    const std::string mask = mask_of(carried, source);
    if (!mask.empty() && std::ranges::count(masks.carried, mask) == 0) {
      masks.carried.push_back(mask);
    }
  }
}

// A mask that an operation or a layer passes on by its rule is that of its input, also where it is
// another one of the same bits.
void GraphRecorder::pass_on(const SequenceMask& out, MaskRule rule, const std::string& in) {
  const bool is_alike = rule == MaskRule::kKeeps || rule == MaskRule::kUses;
  if (out.defined() && is_alike && !in.empty() && !find_mask(out.bits())) {
    masks_.push_back({out.bits(), out, in});
  }
}

void GraphRecorder::on_record(const Node& recorded) {
  const OpDef& op = recorded.op();
  const SequenceMask& out = recorded.outputs().front()->mask();
  GraphNode node = {.name = {}, .op = op.name};
  Masks masks;
  read_inputs(recorded, node, masks);
  node.name = unique(within(Scope::path(), op.name));
  node.dtype = recorded.outputs().front()->dtype();
  for (const Ref<Gradient>& output : recorded.outputs()) {
    const std::size_t i = node.outputs.size();
    by_gradient_[output.get()] = i == 0 ? node.name : fmt::format("{}:{}", node.name, i);
    node.outputs.push_back(dims_of(output->shape()));
  }
  pass_on(out, op.mask_rule, masks.carried.empty() ? "" : masks.carried.front());
  masks.is_new = out.defined() && !find_mask(out.bits());
  const std::size_t place = graph_.nodes.size();
  add(std::move(node));
  masks.out = mask_of(out, graph_.nodes[place].name);
  read_masks(graph_.nodes[place], masks, op.mask_rule);
}

bool GraphRecorder::is_read_within(const std::string& prefix, const std::string& mask) const {
  return std::ranges::any_of(graph_.nodes, [&](const GraphNode& node) {
    return node.name.starts_with(prefix) && std::ranges::count(node.inputs, "^" + mask) > 0;
  });
}

void GraphRecorder::on_layer(const Layer& layer, const Variable& x, const Variable& y) {
  const std::string path = Scope::path();
  if (path.empty()) return;
  const std::string prefix = as_name(path) + "/";
  const std::string in = mask_of(x.mask(), source_of({"input", x.gradient(), &x}));
  GraphNode node = {.name = {},
                    .op = layer.kind(),
                    .inputs = {source_of({"output", y.gradient(), &y})},
                    .dtype = y.dtype(),
                    .outputs = {dims_of(y.shape())},
                    .notes = {{"layer", path}}};
  node.name = unique(prefix + as_name(layer.kind()));
  const bool ends = !in.empty() && !y.mask().defined();
  if (ends && !is_read_within(prefix, in)) node.inputs.push_back("^" + in);
  const MaskRule rule = layer.mask_rule();
  if (rule != MaskRule::kUnset) node.notes["mask"] = to_string(rule);
  if (!in.empty()) node.notes["mask_in"] = in;
  know(y, node.name);
  pass_on(y.mask(), rule, in);
  const std::size_t place = graph_.nodes.size();
  add(std::move(node));
  const std::string out = mask_of(y.mask(), graph_.nodes[place].name);
  if (!out.empty()) graph_.nodes[place].notes["mask_out"] = out;
}

}  // namespace maskgrad
