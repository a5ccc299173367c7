// maskgrad ops
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/run/run_files.hpp>

#include "cli/command.hpp"
#include "cli/op_args.hpp"
#include "cli/op_devices.hpp"
#include "cli/ops_json.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

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

using Ops = std::vector<const OpDef*>;

void list(const Ops& ops) {
  std::vector<std::vector<std::string>> rows = {
      {"op", "inputs", "arguments", "outputs", "dtypes", "devices", "mask", "gradient"}};
  for (const OpDef* op : ops) {
    rows.push_back({op->name, names(op->inputs), arguments(*op),
                    fmt::format("{}", fmt::join(op->outputs, ", ")), main_dtypes(*op),
                    devices_of(*op), std::string(to_string(op->mask_rule)),
                    op->has_gradient() ? "yes" : "no"});
  }
  write_output(format_table(rows, output_columns()));
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Those whose name holds the text; where there is none, those whose summary does.
Ops find_ops(const std::string& text) {
  const std::string wanted = lower_case(text);
  Ops by_name, by_summary;
  for (const auto& [name, op] : registry()) {
    if (name.find(wanted) != std::string::npos) by_name.push_back(&op);
    if (lower_case(op.summary).find(wanted) != std::string::npos) by_summary.push_back(&op);
  }
  return by_name.empty() ? by_summary : by_name;
}

std::string description(const OpDef& op) {
  std::size_t width = 12;
  for (const InputSpec& input : op.inputs) width = std::max(width, input.name.size() + 3);
  for (const ArgSpec& arg : op.args) width = std::max(width, arg.name.size());
  std::string text = fmt::format("{}: {}\n", op.name, op.summary);
  for (const InputSpec& input : op.inputs) {
    text += fmt::format("  input     {:<{}} {}{}{}\n", input.name + (input.repeated ? "0.." : ""),
                        width, to_string(input.dtypes), input.optional ? ", optional" : "",
                        input.differentiable ? ", has a gradient" : "");
  }
  for (const ArgSpec& arg : op.args) {
    text +=
        fmt::format("  argument  {:<{}} {} by default\n", arg.name, width, to_text(arg.fallback));
  }
  for (const std::string& output : op.outputs) text += fmt::format("  output    {}\n", output);
  const std::string devices = devices_of(op);
  text += fmt::format("  devices   {}{}\n  mask      {}\n", devices,
                      devices.starts_with("any") ? "" : " in this build", to_string(op.mask_rule));
  std::vector<std::string> others;
  for (const OpDef* other : find_ops(op.name)) {
    if (other != &op) others.push_back(other->name);
  }
  if (!others.empty()) text += fmt::format("  see also  {}\n", fmt::join(others, ", "));
  return text;
}

void describe(const OpDef& op) { write_output(fit_page(description(op), output_columns())); }

// Writes inputs to try the operation on, and says how.
void write_sample(const OpDef& op, const std::string& path) {
  Random random(0, stream_of(op.name));
  const OpSample sample = op.samples(random).front();
  save_tensors(path, sample.inputs);
  std::string arguments;
  for (const auto& [name, value] : sample.args) {
    arguments += fmt::format(" --arg {}={}", name, to_text(value));
  }
  print("try: {} run-op {} --in {} --out FILE{}\n", program_word(), op.name, shell_word(path),
        arguments);
}

// The operation of this name, or the only one that it is a part of.
const OpDef& op_to_try(const std::string& name) {
  if (registry().contains(name)) return find_op(name);
  std::vector<std::string> found;
  for (const OpDef* op : find_ops(name)) found.push_back(op->name);
  check(found.size() < 2, "usage", "--sample needs one operation, and '{}' finds {}", name,
        fmt::join(found, ", "));
  return known_op(found.empty() ? name : found.front());
}

void ops(const Options& options) {
  as_usage([&] {
    check(options.sample.empty() || !options.name.empty(), "usage",
          "--sample needs the name of an operation");
    check(options.json.empty() || options.name.empty(), "usage",
          "--json describes all operations, and takes no name");
    for (const std::string& file : {options.json, options.sample}) {
      if (!file.empty()) check_is_of_no_run(file, "ops");
    }
  });
  if (!options.json.empty()) return write_file(options.json, ops_as_json());
  if (!options.sample.empty()) {
    return write_sample(as_usage([&]() -> const OpDef& { return op_to_try(options.name); }),
                        options.sample);
  }
  const Ops found = find_ops(options.name);
  if (registry().contains(options.name)) return describe(find_op(options.name));
  if (found.size() == 1) return describe(*found.front());
  if (!found.empty()) return list(found);
  as_usage([&] { known_op(options.name); });  // says which is near
}

}  // namespace

void add_ops(CLI::App& program) {
  auto* command = program.add_subcommand("ops", "List the operations, find some, or describe one");
  auto options = std::make_shared<Options>();
  command
      ->add_option("NAME", options->name,
                   "The operation to describe, or a part of the names to list")
      ->type_name("");
  command
      ->add_option("--sample", options->sample,
                   "Write inputs to try NAME on to this file, for run-op")
      ->type_name("FILE");
  command->add_option("--json", options->json, "File for all descriptions, as JSON")
      ->type_name("FILE");
  command->footer(
      "In the list, input? may be left out, and input0.. stands for one or more. The devices are "
      "those of this build. At a terminal the list fits its width; a file or a pipe gets a line "
      "for each operation.\n\n" +
      examples({"ops masked_softmax", "ops soft"}));
  command->callback([options] { ops(*options); });
}

}  // namespace maskgrad::apps
