// maskgrad ops
#include <fmt/format.h>

#include <maskgrad/tensor/op_def.hpp>
#include <maskgrad/train/settings.hpp>

#include "command.hpp"
#include "op_args.hpp"
#include "table.hpp"

namespace maskgrad::apps {
namespace {

std::string names(const std::vector<InputSpec>& inputs) {
  std::string text;
  for (const InputSpec& input : inputs) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", input.name, input.optional ? "?" : "");
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

void list_all() {
  std::vector<std::vector<std::string>> rows = {
      {"op", "inputs", "arguments", "outputs", "dtypes", "devices", "mask", "gradient"}};
  for (const auto& [name, op] : registry()) {
    rows.push_back({name, names(op.inputs), arguments(op),
                    fmt::format("{}", fmt::join(op.outputs, ", ")),
                    to_string(op.inputs.front().dtypes), "cpu",
                    std::string(to_string(op.mask_rule)), op.has_gradient() ? "yes" : "no"});
  }
  fmt::print("{}", format_table(rows));
}

void describe(const OpDef& op) {
  fmt::print("{}: {}\n", op.name, op.summary);
  for (const InputSpec& input : op.inputs) {
    fmt::print("  input     {:<12} {}{}{}\n", input.name, to_string(input.dtypes),
               input.optional ? ", optional" : "", input.differentiable ? ", has a gradient" : "");
  }
  for (const ArgSpec& arg : op.args) {
    fmt::print("  argument  {:<12} {} by default\n", arg.name, to_text(arg.fallback));
  }
  for (const std::string& output : op.outputs) fmt::print("  output    {}\n", output);
  fmt::print("  devices   cpu\n  mask      {}\n", to_string(op.mask_rule));
}

}  // namespace

void add_ops(CLI::App& program) {
  auto* command = program.add_subcommand("ops", "List the operations, or describe one");
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "One operation");
  command->footer("Example: maskgrad ops masked_softmax");
  command->callback([name] {
    if (name->empty())
      list_all();
    else
      describe(as_usage([&]() -> const OpDef& { return find_op(*name); }));
  });
}

}  // namespace maskgrad::apps
