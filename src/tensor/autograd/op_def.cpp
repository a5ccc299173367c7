#include <algorithm>
#include <charconv>
#include <optional>

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/nearest_name.hpp>

namespace maskgrad {
namespace {

std::map<std::string, OpDef>& mutable_registry() {
  static std::map<std::string, OpDef> ops;
  return ops;
}

std::optional<Scalar> number_in(const ArgValue& value) {
  return std::visit(
      []<class T>(const T& v) -> std::optional<Scalar> {
        if constexpr (std::is_convertible_v<T, Scalar>)
          return Scalar(v);
        else
          return std::nullopt;
      },
      value);
}

// Makes a number what the argument wants.
void coerce(const OpDef& op, const std::string& name, ArgValue& value, const ArgValue& like) {
  const std::string what = fmt::format("argument '{}':", name);
  if (const std::optional<Scalar> number = number_in(value); number) {
    const bool is_bool = number->kind() == Scalar::Kind::kBool;
    if (std::holds_alternative<Scalar>(like)) value = *number;
    if (std::holds_alternative<double>(like) && !is_bool)
      value = number->to<double>(op.name.c_str(), what);
    if (std::holds_alternative<std::int64_t>(like) && number->kind() == Scalar::Kind::kInteger)
      value = number->to<std::int64_t>(op.name.c_str(), what);
    if (std::holds_alternative<bool>(like) && is_bool) value = *number == Scalar(true);
  }
  check(value.index() == like.index(), op.name.c_str(), "argument '{}' has the wrong type", name);
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
    check_given(value.defined(), name, fmt::format("input '{}'", given));
    check(contains(spec->dtypes, value.dtype()), name, "input '{}' is {}, it must be {}", given,
          to_string(value.dtype()), to_string(spec->dtypes));
  }
}

struct Recorded {
  const InputSpec* spec;
  std::size_t number;  // of a repeated input
};

// Repeated inputs stand last, and in turn; those without a gradient are not recorded.
Recorded find_recorded(const OpDef& op, std::size_t i) {
  const auto is_repeated = [](const InputSpec& input) { return input.repeated; };
  const auto last = std::find_if(op.inputs.begin(), op.inputs.end(), is_repeated);
  const auto before = static_cast<std::size_t>(last - op.inputs.begin());
  if (i < before) return {&op.inputs[i], 0};
  const auto is_recorded = [](const InputSpec& input) { return input.differentiable; };
  const auto each = static_cast<std::size_t>(std::count_if(last, op.inputs.end(), is_recorded));
  check(each > 0, op.name.c_str(), "has no input {} to be recorded", i);
  std::size_t skipped = (i - before) % each;
  const auto spec = std::find_if(last, op.inputs.end(), [&](const InputSpec& input) {
    return is_recorded(input) && skipped-- == 0;
  });
  return {&*spec, (i - before) / each};
}

void fill_args(const OpDef& op, OpCall& call) {
  for (auto& [given, value] : call.args) {
    const auto spec =
        std::find_if(op.args.begin(), op.args.end(),
                     [&name_of = given](const ArgSpec& arg) { return arg.name == name_of; });
    check(spec != op.args.end(), op.name.c_str(), "has no argument '{}'", given);
    coerce(op, given, value, spec->fallback);
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

const InputSpec& OpDef::recorded(std::size_t i) const { return *find_recorded(*this, i).spec; }

std::string OpDef::recorded_name(std::size_t i) const {
  const Recorded found = find_recorded(*this, i);
  return found.spec->repeated ? fmt::format("{}{}", found.spec->name, found.number)
                              : found.spec->name;
}

std::string OpDef::output_name(std::size_t i) const {
  return repeats_outputs ? fmt::format("{}{}", outputs.front(), i) : outputs.at(i);
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
  for (const InputSpec& input : op.inputs) check_signature(op.name.c_str(), input.reach);
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
  check(op.call != nullptr, op.name.c_str(), "has no function to call");
  check_inputs(op, call);
  fill_args(op, call);
  return op.call(call);
}

}  // namespace maskgrad
