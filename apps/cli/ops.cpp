// maskgrad ops
#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "cli/command.hpp"
#include "cli/op_args.hpp"
#include "cli/ops_json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string name, sample, json;
};

std::string names(const std::vector<InputSpec>& inputs) {
  std::string text;
  for (const InputSpec& input : inputs) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", input.name,
                        input.repeated   ? "0.."
                        : input.optional ? "?"
                                         : "");
  }
  return text;
}

std::string arguments(const OpDef& op) {
  std::string text;
  for (const ArgSpec& arg : op.args) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", arg.name, to_text(arg.fallback));
  }
  return text;
}

// Of what the operation works on: the first input with a gradient, where there is one.
std::string main_dtypes(const OpDef& op) {
  const auto found = std::find_if(op.inputs.begin(), op.inputs.end(),
                                  [](const InputSpec& input) { return input.differentiable; });
  return to_string(found != op.inputs.end() ? found->dtypes : op.inputs.front().dtypes);
}

// Where some kernel of the operation is in this build.
std::string devices(const OpDef& op) { return KernelSlot::any_of(op.name) ? "cpu, cuda" : "cpu"; }

void list_all() {
  std::vector<std::vector<std::string>> rows = {
      {"op", "inputs", "arguments", "outputs", "dtypes", "devices", "mask", "gradient"}};
  for (const auto& [name, op] : registry()) {
    rows.push_back({name, names(op.inputs), arguments(op),
                    fmt::format("{}", fmt::join(op.outputs, ", ")), main_dtypes(op), devices(op),
                    std::string(to_string(op.mask_rule)), op.has_gradient() ? "yes" : "no"});
  }
  write_output(format_table(rows));
}

void describe(const OpDef& op) {
  print("{}: {}\n", op.name, op.summary);
  std::size_t width = 12;
  for (const InputSpec& input : op.inputs) width = std::max(width, input.name.size() + 3);
  for (const ArgSpec& arg : op.args) width = std::max(width, arg.name.size());
  for (const InputSpec& input : op.inputs) {
    print("  input     {:<{}} {}{}{}\n", input.name + (input.repeated ? "0.." : ""), width,
          to_string(input.dtypes), input.optional ? ", optional" : "",
          input.differentiable ? ", has a gradient" : "");
  }
  for (const ArgSpec& arg : op.args) {
    print("  argument  {:<{}} {} by default\n", arg.name, width, to_text(arg.fallback));
  }
  for (const std::string& output : op.outputs) print("  output    {}\n", output);
  print("  devices   {}\n  mask      {}\n", devices(op), to_string(op.mask_rule));
}

// Writes inputs to try the operation on, and says how.
void write_sample(const OpDef& op, const std::string& path) {
  Random random(0, stream_of(op.name));
  const OpSample sample = op.samples(random).front();
  save_tensors(path, sample.inputs);
  std::string arguments;
  for (const auto& [name, value] : sample.args) {
    arguments += fmt::format(" --arg {}={}", name, to_text(value));
  }
  print("try: maskgrad run-op {} --in {} --out FILE{}\n", op.name, path, arguments);
}

void ops(const Options& options) {
  as_usage([&] {
    check(options.sample.empty() || !options.name.empty(), "usage",
          "--sample needs the name of an operation");
    check(options.json.empty() || options.name.empty(), "usage",
          "--json describes all operations, and takes no name");
  });
  if (!options.json.empty()) return write_file(options.json, ops_as_json());
  if (options.name.empty()) return list_all();
  const OpDef& op = as_usage([&]() -> const OpDef& { return known_op(options.name); });
  if (options.sample.empty()) return describe(op);
  write_sample(op, options.sample);
}

}  // namespace

void add_ops(CLI::App& program) {
  auto* command = program.add_subcommand("ops", "List the operations, or describe one");
  auto options = std::make_shared<Options>();
  command->add_option("NAME", options->name, "Operation to describe")->type_name("");
  command
      ->add_option("--sample", options->sample,
                   "Write sample inputs of NAME to this file, for run-op")
      ->type_name("FILE");
  command->add_option("--json", options->json, "File for all descriptions, as JSON")
      ->type_name("FILE");
  command->footer("Example: maskgrad ops masked_softmax");
  command->callback([options] { ops(*options); });
}

}  // namespace maskgrad::apps
