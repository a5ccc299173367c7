#include <algorithm>
#include <charconv>

#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/tensor/op_def.hpp>

namespace maskgrad {
namespace {

std::map<std::string, OpDef>& mutable_registry() {
  static std::map<std::string, OpDef> ops;
  return ops;
}

// An integer may stand for a real argument: `--arg fill=7`.
bool coerce(ArgValue& value, const ArgValue& like) {
  if (std::holds_alternative<std::int64_t>(value) && std::holds_alternative<double>(like)) {
    value = static_cast<double>(std::get<std::int64_t>(value));
  }
  return value.index() == like.index();
}

// "mask12" is number 12 of the repeated input "mask"; -1 for any other text.
std::int64_t number_of(const InputSpec& spec, const std::string& name) {
  std::int64_t number = -1;
  const char *digits = name.data() + spec.name.size(), *end = name.data() + name.size();
  if (!name.starts_with(spec.name) || digits == end) return -1;
  if (*digits == '0' && digits + 1 != end) return -1;
  const auto [stop, error] = std::from_chars(digits, end, number);
  return error == std::errc() && stop == end ? number : -1;
}

void check_inputs(const OpDef& op, const OpCall& call) {
  const char* name = op.name.c_str();
  for (const InputSpec& spec : op.inputs) {
    check(spec.optional || spec.repeated || call.has(spec.name), name, "input '{}' is missing",
          spec.name);
  }
  for (const auto& [given, value] : call.inputs) {
    const InputSpec* spec = op.find_input(given);
    check(spec != nullptr, name, "has no input '{}'", given);
    const std::int64_t number = spec->repeated ? number_of(*spec, given) : 0;
    check(number <= 0 || call.has(fmt::format("{}{}", spec->name, number - 1)), name,
          "input '{}{}' is missing", spec->name, number - 1);
    check(contains(spec->dtypes, value.dtype()), name, "input '{}' is {}, it must be {}", given,
          to_string(value.dtype()), to_string(spec->dtypes));
  }
}

void fill_args(const OpDef& op, OpCall& call) {
  for (auto& [given, value] : call.args) {
    const auto spec =
        std::find_if(op.args.begin(), op.args.end(),
                     [&name_of = given](const ArgSpec& arg) { return arg.name == name_of; });
    check(spec != op.args.end(), op.name.c_str(), "has no argument '{}'", given);
    check(coerce(value, spec->fallback), op.name.c_str(), "argument '{}' has the wrong type",
          given);
  }
  for (const ArgSpec& spec : op.args) call.args.try_emplace(spec.name, spec.fallback);
}

}  // namespace

bool contains(DTypes set, DType dtype) {
  switch (set) {
    case DTypes::kFloating:
      return is_floating(dtype);
    case DTypes::kInteger:
      return dtype == DType::kInt32 || dtype == DType::kInt64;
    case DTypes::kBool:
      return dtype == DType::kBool;
    case DTypes::kAny:
      return true;
  }
  return false;
}

std::string to_string(DTypes set) {
  std::string text;
  for (auto dtype :
       {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64, DType::kBool}) {
    if (contains(set, dtype))
      text += fmt::format("{}{}", text.empty() ? "" : ", ", to_string(dtype));
  }
  return text;
}

Reads Reads::everything() {
  Reads all = {};
  all.everything_ = true;
  return all;
}

Reads Reads::outside_holes() const {
  Reads kept = *this;
  kept.leaves_out_holes_ = true;
  return kept;
}

bool Reads::covers(const std::string& name) const {
  return everything_ || std::find(names_.begin(), names_.end(), name) != names_.end();
}

bool OpDef::has_gradient() const {
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const InputSpec& input) { return input.differentiable; });
}

const InputSpec* OpDef::find_input(const std::string& given) const {
  for (const InputSpec& spec : inputs) {
    if (spec.repeated ? number_of(spec, given) >= 0 : spec.name == given) return &spec;
  }
  return nullptr;
}

// Repeated inputs stand last; those without a gradient are not recorded.
const InputSpec& OpDef::recorded(std::size_t i) const {
  for (std::size_t at = 0; at < inputs.size(); ++at) {
    if (inputs[at].repeated ? inputs[at].differentiable : at == i) return inputs[at];
  }
  fail(name.c_str(), "has no input {} to be recorded", i);
}

std::string OpDef::recorded_name(std::size_t i) const {
  const InputSpec& spec = recorded(i);
  if (!spec.repeated) return spec.name;
  const auto before = static_cast<std::size_t>(std::count_if(
      inputs.begin(), inputs.end(), [](const InputSpec& input) { return !input.repeated; }));
  return fmt::format("{}{}", spec.name, i - before);
}

std::vector<Variable> OpCall::repeated(const std::string& name) const {
  std::vector<Variable> found;
  for (int i = 0; has(fmt::format("{}{}", name, i)); ++i) {
    found.push_back(input(fmt::format("{}{}", name, i)));
  }
  return found;
}

const OpDef& register_op(OpDef op) {
  std::string name = op.name;
  const auto [place, added] = mutable_registry().emplace(std::move(name), std::move(op));
  check(added, "register_op", "'{}' is registered twice", place->first);
  return place->second;
}

const std::map<std::string, OpDef>& registry() { return mutable_registry(); }

const OpDef& find_op(const std::string& name) {
  const auto found = registry().find(name);
  if (found != registry().end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, op] : registry()) names.push_back(known);
  fail(name.c_str(), "is no operation{}", did_you_mean(name, names));
}

std::vector<Variable> run_op(const OpDef& op, OpCall call) {
  check_inputs(op, call);
  fill_args(op, call);
  return op.call(call);
}

}  // namespace maskgrad
