#include <algorithm>

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

void check_inputs(const OpDef& op, const OpCall& call) {
  const char* name = op.name.c_str();
  for (const InputSpec& spec : op.inputs) {
    const auto found = call.inputs.find(spec.name);
    check(spec.optional || found != call.inputs.end(), name, "input '{}' is missing", spec.name);
    if (found == call.inputs.end()) continue;
    check(contains(spec.dtypes, found->second.dtype()), name, "input '{}' is {}, it must be {}",
          spec.name, to_string(found->second.dtype()), to_string(spec.dtypes));
  }
  for (const auto& [given, value] : call.inputs) {
    const bool known =
        std::any_of(op.inputs.begin(), op.inputs.end(),
                    [&name_of = given](const InputSpec& spec) { return spec.name == name_of; });
    check(known, name, "has no input '{}'", given);
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

bool OpDef::has_gradient() const {
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const InputSpec& input) { return input.differentiable; });
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
