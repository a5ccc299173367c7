// maskgrad run-op
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/run/run_files.hpp>

#include "cli/command.hpp"
#include "cli/device.hpp"
#include "cli/op_args.hpp"
#include "cli/program.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string name, in, out;
  std::vector<std::string> args;
  Device device = {};
  bool grad = false;
};

// Everything that can be wrong with the call itself is found before any file is read.
OpCall parse_call(const OpDef& op, const Options& options) {
  check(!options.grad || op.has_gradient(), op.name.c_str(), "has no gradient");
  OpCall call;
  for (const std::string& pair : options.args) {
    const auto equals = pair.find('=');
    check(equals != std::string::npos, op.name.c_str(), "'--arg {}' is not name=value",
          shortened(pair));
    const std::string name = pair.substr(0, equals);
    call.args[name] = parse_arg(op, name, pair.substr(equals + 1));
  }
  return call;
}

Variable as_input(const OpDef& op, const std::string& name, const Tensor& value, bool grad) {
  const InputSpec* spec = op.find_input(name);
  const bool leaf = spec && spec->differentiable && grad && is_floating(value.dtype());
  return Variable(value, leaf ? Variable::kRequiresGrad : Variable::kConstant);
}

void run(const Options& options) {
  const OpDef& op = as_usage([&]() -> const OpDef& { return known_op(options.name); });
  OpCall call = as_usage([&] {
    check_is_of_no_run(options.out, "run-op");
    return parse_call(op, options);
  });
  std::map<std::string, Tensor> tensors = load_tensors(options.in);
  Tensor grad_output;
  if (options.grad) {
    const auto found = tensors.find("grad_output");
    check(found != tensors.end(), op.name.c_str(), "--grad needs 'grad_output' in '{}'",
          options.in);
    grad_output = found->second;
    tensors.erase(found);
  }
  for (const auto& [name, value] : tensors) {
    const Tensor placed = is_floating(value.dtype()) ? value.to(options.device) : value;
    call.inputs.emplace(name, as_input(op, name, placed, options.grad));
  }
  Tape tape;
  const std::vector<Variable> outputs = run_op(op, call);
  std::map<std::string, Tensor> results;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    results[op.output_name(i)] = outputs[i].value().to(Device{});
  }
  if (options.grad) {
    tape.backward(outputs.front(), grad_output.to(options.device));
    for (const auto& [name, input] : call.inputs) {
      if (!input.requires_grad()) continue;
      const Tensor grad = input.grad();  // undefined when the output does not depend on this input
      results["grad_" + name] =
          grad.defined() ? grad.to(Device{}) : Tensor::zeros(input.shape(), input.dtype());
    }
  }
  save_tensors(options.out, results);
}

}  // namespace

void add_run_op(CLI::App& program) {
  auto* command = program.add_subcommand("run-op", "Run one operation on tensors in a file");
  auto options = std::make_shared<Options>();
  command->add_option("NAME", options->name, "The operation; see maskgrad ops")
      ->type_name("")
      ->required();
  command->add_option("--in", options->in, "safetensors file that holds the inputs, by name")
      ->type_name("FILE")
      ->required();
  command->add_option("--out", options->out, "safetensors file for the outputs, by name")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--arg", options->args,
                   "An argument, such as axis=1 or axes=0,2,1; may be given several times")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_flag(
      "--grad", options->grad,
      "Compute gradients, too: --in also holds grad_output, and --out gets grad_<input>");
  add_device(*command, options->device);
  add_math(*command, options->device);
  command->footer(
      examples({"ops keep_where --sample x.safetensors",
                "run-op keep_where --in x.safetensors --out y.safetensors --arg fill=-1"}));
  command->callback([options] { run(*options); });
}

}  // namespace maskgrad::apps
