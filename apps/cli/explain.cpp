// maskgrad explain
#include <nlohmann/json.hpp>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/report/explained_section.hpp>
#include <maskgrad/train/report/report.hpp>
#include <maskgrad/train/run/run_files.hpp>

#include "cli/command.hpp"
#include "cli/device.hpp"
#include "cli/explain_text.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/run_folder.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/usage.hpp"
#include "recipes/explain_input.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string run, text, out, json;
  Weights weights = Weights::kLast;
  Device device = {};
  ExplainChoice choice;
};

// A file or a program gets lines of 80 columns, without colours.
TextLook look_of_output() {
  TextLook look = {.unicode = draws_unicode(), .color = output_wants_color()};
  if (const int columns = output_columns(); columns > 0) look.columns = columns;
  return look;
}

nlohmann::ordered_json json_of(const ops::SeenAttention& seen) {
  const Tensor weights = seen.weights.to(DType::kFloat64);
  std::vector<std::vector<std::vector<double>>> heads;
  for (std::int64_t h = 0; h < weights.dim(1); ++h) {
    auto& rows = heads.emplace_back();
    for (std::int64_t s = 0; s < weights.dim(2); ++s) {
      const auto row = weights[0][h][s].values<double>();
      rows.emplace_back(row.begin(), row.end());
    }
  }
  const AttentionWork work = work_of(seen);
  return {{"layer", seen.layer},
          {"mask", std::string(seen.pairs.recipe())},
          {"pairs", seen.all_pairs()},
          {"kept", seen.kept_pairs()},
          {"computed", seen.computed_pairs},
          {"multiply_adds", work.done},
          {"multiply_adds_saved", work.saved},
          {"weights", heads}};
}

// Bytes that are no UTF-8 are written as U+FFFD.
std::string to_json(const ExplainedInput& input) {
  std::vector<bool> exists;
  for (std::int64_t i = 0; i < input.length(); ++i) exists.push_back(input.is_there(i));
  nlohmann::ordered_json json = {{"text", input.text},
                                 {"tokens", input.tokens},
                                 {"exists", exists},
                                 {"given", input.given},
                                 {"attention", nlohmann::ordered_json::array()},
                                 {"steps", input.steps},
                                 {"answers", nlohmann::ordered_json::array()}};
  for (const ops::SeenAttention& seen : input.attention) json["attention"].push_back(json_of(seen));
  for (const auto& [answer, probability] : input.answers) {
    json["answers"].push_back({{"text", answer}, {"probability", probability}});
  }
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void check_files(const Options& options) {
  as_usage([&] {
    check(options.out.empty() || options.out != options.json, "usage",
          "--out and --json name one file");
  });
  for (const std::string& file : {options.out, options.json}) {
    if (!file.empty()) check_is_of_no_run(file, "explain");
  }
  if (!options.out.empty()) check_may_replace(options.out, kReportStart, "explain", "page");
}

void explain(const Options& options) {
  as_usage([&] { check(!options.text.empty(), "usage", "the text is empty"); });
  TrainedRun run(options.run, options.weights, options.device);
  check_files(options);
  const ExplainedInput input = explain_input(run.model(), options.text);
  check_choice(input, options.choice);
  if (!options.json.empty()) write_file(options.json, to_json(input));
  if (options.out.empty()) {
    write_output(explain_as_text(input, options.choice, look_of_output()));
  } else {
    write_file(options.out,
               render_explanation(fmt::format("{}: {}", run.recipe().name(), options.text), input));
    print("{}\n", one_line(options.out));
  }
}

void add_number_option(CLI::App& command, const std::string& flag,
                       std::optional<std::int64_t>& value, const std::string& help) {
  const auto parse = [flag, &value](const std::string& text) {
    value = parse_integer<std::int64_t>(flag, text);
  };
  command.add_option_function<std::string>(flag, parse, help)->type_name("INT")->take_last();
}

}  // namespace

void add_explain(CLI::App& program) {
  auto* command = program.add_subcommand(
      "explain", "Show what a run's model makes of one TEXT: tokens, masks, attention, answer");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->run, "Run folder")->type_name("")->required();
  command->add_option("TEXT", options->text, "A question, as for maskgrad predict")
      ->type_name("")
      ->required();
  add_best(*command, options->weights);
  add_device_for_run(*command, options->device);
  add_math(*command, options->device);
  add_number_option(*command, "--layer", options->choice.layer,
                    "Draw the attention of this layer whole; 0 is the first");
  add_number_option(*command, "--head", options->choice.head,
                    "Draw this head alone; 0 is the first");
  add_number_option(*command, "--position", options->choice.position,
                    "Of several heads, show what this position attends to; 0 is the first");
  command
      ->add_option("--out", options->out,
                   "Write a page for a browser, with all layers and heads, instead")
      ->type_name("FILE");
  command->add_option("--json", options->json, "File for all numbers, as JSON")->type_name("FILE");
  command->footer(
      "A picture of attention has a line for each query and a column for each key. Shades tell how "
      "much of its weight a query gives to a key. Blank pairs are left out by the mask: their "
      "weight is 0, and where whole blocks are blank nothing is computed.\n\n" +
      examples({"explain runs/first x=-12,y=24:y-x"}));
  command->callback([options] { explain(*options); });
}

}  // namespace maskgrad::apps
