#include "cli/ops_json.hpp"

#include <nlohmann/json.hpp>

#include <maskgrad/tensor/autograd/op_def.hpp>

#include "cli/op_args.hpp"
#include "cli/op_devices.hpp"

namespace maskgrad::apps {
namespace {

using Json = nlohmann::ordered_json;

std::string reach_text(const Reach& reach) {
  constexpr const char* kNames[] = {"unset",      "element",    "last axis",
                                    "same order", "everything", "by call"};
  if (reach.kind() == Reach::kSignature) return std::string(reach.signature());
  return kNames[reach.kind()];
}

// The names of the inputs and outputs that the gradient reads; null where there is no gradient.
Json gradient_reads(const OpDef& op, const InputSpec& input) {
  if (!input.differentiable) return nullptr;
  Json names = Json::array();
  for (const InputSpec& read : op.inputs) {
    if (input.gradient.covers(read.name)) names.push_back(read.name);
  }
  for (const std::string& output : op.outputs) {
    if (input.gradient.covers(output)) names.push_back(output);
  }
  return names;
}

Json input_json(const OpDef& op, const InputSpec& input) {
  return {{"name", input.name},
          {"dtypes", to_string(input.dtypes)},
          {"optional", input.optional},
          {"repeated", input.repeated},
          {"reach", reach_text(input.reach)},
          {"gradient_reads", gradient_reads(op, input)},
          {"gradient_reads_holes", !input.leaves_out_holes()}};
}

std::string type_name(const ArgValue& value) {
  constexpr const char* kNames[] = {"bool", "integer", "number", "text", "integers", "scalar"};
  static_assert(std::variant_size_v<ArgValue> == std::size(kNames));
  return kNames[value.index()];
}

Json op_json(const OpDef& op) {
  Json inputs = Json::array(), arguments = Json::array();
  for (const InputSpec& input : op.inputs) inputs.push_back(input_json(op, input));
  for (const ArgSpec& arg : op.args) {
    arguments.push_back({{"name", arg.name},
                         {"type", type_name(arg.fallback)},
                         {"default", to_text(arg.fallback)}});
  }
  return {{"name", op.name},           {"summary", op.summary},
          {"devices", devices_of(op)}, {"mask", to_string(op.mask_rule)},
          {"inputs", inputs},          {"arguments", arguments},
          {"outputs", op.outputs},     {"repeats_outputs", op.repeats_outputs}};
}

}  // namespace

std::string ops_as_json() {
  Json all = Json::array();
  for (const auto& [name, op] : registry()) all.push_back(op_json(op));
  return all.dump(2) + "\n";
}

}  // namespace maskgrad::apps
