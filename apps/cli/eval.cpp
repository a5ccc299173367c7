// maskgrad eval
#include <nlohmann/json.hpp>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/train/evaluate.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/run/run_files.hpp>

#include "cli/command.hpp"
#include "cli/count_progress.hpp"
#include "cli/device.hpp"
#include "cli/examination.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/run_folder.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string run, data, json;
  Weights weights = Weights::kLast;
  Device device = {};
  std::int64_t batch_size = 100, samples = 0, pad = 0;
};

// Loss and metrics of the model on `data`.
std::vector<Metric> totals_on(const Dataset& data, TrainedRun& run, std::int64_t batch_size) {
  const auto model = [&](const Batch& batch, Pass& pass) {
    return run.model().evaluate(batch, pass);
  };
  return evaluate(model, data, batch_size);
}

std::optional<Examination> examine(RecipeModel& model, std::int64_t samples) {
  CountProgress progress("answer");
  const auto show = [&](std::int64_t done, std::int64_t all) { progress.show(done, all); };
  return model.examine({.samples = samples, .on_progress = show});
}

void eval(const Options& options) {
  as_usage([&] {
    check(options.batch_size >= 1, "usage", "--batch-size must be at least 1, not {}",
          options.batch_size);
    check(options.samples >= 0, "usage", "--samples must be at least 0, not {}", options.samples);
    check(options.samples == 0 || options.data.empty(), "usage",
          "--samples limits the table of answers, and with --data there is none");
  });
  TrainedRun run(options.run, options.weights, options.device);
  as_usage([&] {
    check(options.samples == 0 || run.model().abilities().is_examined, "usage",
          "--samples limits the table of answers, and the recipe {} has none", run.recipe().name());
  });
  pad_inputs(run, options.pad);
  if (!options.json.empty()) {
    check_is_of_no_run(options.json, "eval");
    const AtomicFile attempt(options.json);  // what cannot be written is an error before the work
  }
  const bool holds_out = run.recipe().holds_out(run.settings()) && options.data.empty();
  const std::unique_ptr<Dataset> data =
      run.load_data(options.data, "eval", holds_out ? DataPart::kHeldOut : DataPart::kTraining);
  nlohmann::ordered_json json;
  std::vector<std::pair<std::string, std::string>> values;
  for (const Metric& metric : totals_on(*data, run, options.batch_size)) {
    values.emplace_back(metric.name, mean_text(metric.mean(), 6));
    json[metric.name] = metric.mean();
  }
  values.emplace_back("samples", fmt::format("{}{}", data->size(), holds_out ? ", held out" : ""));
  write_output(format_values(values));
  json["samples"] = data->size();
  json["device"] = to_string(options.device.type);
  if (options.device != Device{}) json["math"] = ops::to_string(ops::product_math());
  flush_output();
  if (options.data.empty()) {
    if (auto examination = examine(run.model(), options.samples)) {
      const Results results = {std::move(examination), run.model().warnings()};
      print_results(results, run.recipe().name());
      // Of other samples than the figures before it, so under a key of its own.
      add_results(json["results"], results);
    }
  }
  if (!options.json.empty()) write_file(options.json, json.dump(2) + "\n");
}

}  // namespace

void add_eval(CLI::App& program) {
  auto* command = program.add_subcommand("eval", "Compute the loss and metrics of a run's model");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->run, "Run folder")->type_name("")->required();
  add_best(*command, options->weights);
  add_device_for_run(*command, options->device);
  add_math(*command, options->device);
  command
      ->add_option(
          "--data", options->data,
          "Folder or file of data. The default is what the run held out from training, or else "
          "its training data")
      ->type_name("FOLDER");
  add_integer(*command, "--batch-size", options->batch_size, "Samples in a batch");
  add_integer(*command, "--samples", options->samples,
              "How many questions to ask for the table of answers, at most; 0: all, or some "
              "thousands where they are drawn");
  add_pad(*command, options->pad);
  command->add_option("--json", options->json, "File for the figures, as JSON")->type_name("FILE");
  command->footer(examples({"eval runs/first --data heldout"}));
  command->callback([options] { eval(*options); });
}

}  // namespace maskgrad::apps
