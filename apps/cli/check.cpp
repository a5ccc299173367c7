// maskgrad check
#include <functional>
#include <numeric>
#include <span>

#include <maskgrad/layers/next_tokens.hpp>
#include <maskgrad/layers/prove_causal.hpp>
#include <maskgrad/tensor/check/gradients.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/print.hpp>

#include "cli/command.hpp"
#include "cli/device.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/run_folder.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string run, data;
  Weights weights = Weights::kLast;
  Device device = {};
  std::int64_t samples = 4, elements = 20;
};

Batch first_samples(const Dataset& data, std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(std::min(count, data.size())));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return data.collate(indices);
}

void report(const char* what, const char* verdict, const std::string& text) {
  print("{:<10} {:<6} {}\n", what, verdict, text);
  flush_output();  // the next check may take long
}

bool report(const char* what, bool holds, const std::string& text) {
  report(what, holds ? "holds" : "FAILS", text);
  return holds;
}

// Where nothing is masked, what holds could not fail: that is no finding.
void report_mask(const char* what, bool has_masked, std::int64_t operations, bool holds,
                 const std::string& text) {
  if (has_masked || !holds) {
    report(what, holds, text);
  } else {
    report(what, "--",
           fmt::format("nothing is masked here, in {}", count_of(operations, "operation")));
  }
}

// True when nothing masked leaks.
bool check_masks(const std::function<Variable()>& loss, std::span<const NamedLeaf> leaves) {
  const LeakReport leaks = check_mask_leaks(loss, leaves);
  const bool has_masked = leaks.masked_places > 0;
  report_mask("leaks", has_masked, leaks.operations, leaks.holds(), to_string(leaks));
  Tape tape({.trace = true});
  loss();
  const MaskProof proof = prove_mask(tape, leaves);
  report_mask("proof", has_masked, proof.operations, proof.holds(), to_string(proof));
  return leaks.holds() && proof.holds();
}

// Nothing to say of a model that predicts no next token.
bool check_causality(TrainedRun& run, const Batch& batch) {
  const std::optional<CausalModel> causal = run.model().causal_model(batch);
  if (!causal) return true;
  const CausalProof proof = prove_causal(causal->model, causal->tokens);
  const bool holds = report("causality", proof.holds(), to_string(proof));
  const std::string wrong = find_wrong_target(causal->tokens, causal->targets, causal->counted);
  return holds & report("targets", wrong.empty(),
                        wrong.empty() ? "the target of a position is the token behind it" : wrong);
}

// True when everything holds.
bool check_model(TrainedRun& run, const Batch& batch, const Options& options) {
  const std::vector<NamedLeaf> leaves = run.parameters().leaves();
  const auto loss = [&] {
    Pass pass;
    const ModelOutput output = run.model().evaluate_whole(batch, pass);
    return objective_of(output, loss_sums(output, "check")).root;
  };
  const GradientReport gradients =
      check_gradients(loss, leaves, {.tolerance = 1e-6, .max_elements = options.elements});
  bool holds = report("gradients", gradients.holds(), to_string(gradients));
  holds &= check_masks(loss, leaves);
  return holds & check_causality(run, batch);
}

void check_run(const Options& options) {
  as_usage([&] {
    check(options.samples >= 1, "usage", "--samples must be at least 1, not {}", options.samples);
    check(options.elements >= 1, "usage", "--elements must be at least 1, not {}",
          options.elements);
  });
  // In float64 differences are exact enough to compare gradients with.
  TrainedRun run(options.run, options.weights, options.device, DType::kFloat64);
  const std::unique_ptr<Dataset> data = run.load_data(options.data, "check");
  if (!check_model(run, first_samples(*data, options.samples), options)) {
    flush_output();
    throw ExitCode{1};
  }
}

}  // namespace

void add_check(CLI::App& program) {
  auto* command = program.add_subcommand(
      "check", "Check the gradients of a run's model, and that nothing masked leaks");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->run, "Run folder")->type_name("")->required();
  add_best(*command, options->weights);
  add_device_for_run(*command, options->device);
  command
      ->add_option("--data", options->data,
                   "Folder or file of data; the run's training data if not given")
      ->type_name("FOLDER");
  add_integer(*command, "--samples", options->samples, "How many samples to check with");
  add_integer(*command, "--elements", options->elements,
              "How many gradients of each parameter to compare");
  command->footer(
      "gradients  are compared with central differences, in float64\n"
      "leaks      1e30, -1e30, inf, -inf and nan are put into every masked place: no bit of the "
      "loss and the gradients may change\n"
      "proof      follows what each operation reads, forward and backward: nothing may lead from a "
      "masked place to the loss or a gradient\n"
      "           -- stands for both where nothing is masked in these samples\n"
      "causality  of a language model: no position may depend on a later one, or on another text\n"
      "targets    of a language model: each must be the token behind its position\n\n"
      "The exit code is 1 when something fails.\n\n" +
      examples({"check runs/first"}));
  command->callback([options] { check_run(*options); });
}

}  // namespace maskgrad::apps
