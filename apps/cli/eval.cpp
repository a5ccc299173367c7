// maskgrad eval
#include <maskgrad/train/evaluate.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/run_folder.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string run, data;
  Weights weights = Weights::kLast;
  std::int64_t batch_size = 100;
};

void eval(const Options& options) {
  as_usage([&] {
    check(options.batch_size >= 1, "usage", "--batch-size must be at least 1, not {}",
          options.batch_size);
  });
  TrainedRun run(options.run, options.weights);
  const std::unique_ptr<Dataset> data = run.load_data(options.data, "eval");
  const auto model = [&](const Batch& batch, Pass& pass) {
    return run.model().evaluate(batch, pass);
  };
  for (const Metric& metric : evaluate(model, *data, options.batch_size)) {
    print("{:<10} {:.6f}\n", metric.name, metric.mean());
  }
  print("{:<10} {}\n", "samples", data->size());
}

}  // namespace

void add_eval(CLI::App& program) {
  auto* command = program.add_subcommand("eval", "Compute the loss and metrics of a run's model");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->run, "Run folder")->type_name("")->required();
  add_best(*command, options->weights);
  command
      ->add_option("--data", options->data,
                   "Folder of shards; the run's training data if not given")
      ->type_name("FOLDER");
  add_integer(*command, "--batch-size", options->batch_size, "Samples in a batch");
  command->footer("Example: maskgrad eval runs/first --data heldout");
  command->callback([options] { eval(*options); });
}

}  // namespace maskgrad::apps
