// maskgrad generate
#include <unistd.h>

#include "cli/command.hpp"
#include "cli/device.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/run_folder.hpp"
#include "cli/text_stream.hpp"
#include "cli/train_recipe.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string run, prompt;
  Weights weights = Weights::kLast;
  Device device = {};
  std::int64_t samples = 1;
  GenerateOptions generate = {.sample = {.temperature = 0.8}};
};

void check_options(const Options& options) {
  check(options.generate.tokens >= 0, "usage", "--tokens must be at least 0, not {}",
        options.generate.tokens);
  check(options.samples >= 1 && options.samples <= UINT32_MAX, "usage",
        "--samples must be 1 to {}, not {}", UINT32_MAX, options.samples);
  maskgrad::check_options(options.generate.sample, flag_name);
}

void show(const std::string& text) {
  if (text.empty()) return;
  write_output(text);
  flush_output();
}

// The prompt, and what the model writes behind it, as it comes. Nothing where the model cannot.
void write_sample(RecipeModel& model, const Options& options) {
  const bool to_terminal = isatty(STDOUT_FILENO) == 1;
  TextStream stream(to_terminal ? TextStream::To::kTerminal : TextStream::To::kFile);
  bool has_begun = false;
  std::string last;
  const auto tell = [&](std::string_view piece) {
    last = has_begun ? std::string(piece) : options.prompt + std::string(piece);
    has_begun = true;
    show(stream.take(last));
    return true;
  };
  try {
    model.write_on(options.prompt, options.generate, tell);
  } catch (const Error&) {
    if (has_begun) show(stream.finish() + "\n");
    throw;
  }
  if (!has_begun) tell("");
  show(stream.finish());
  if (!last.ends_with('\n')) show("\n");
}

void generate(Options options) {
  as_usage([&] { check_options(options); });
  TrainedRun run(options.run, options.weights, options.device);
  for (std::int64_t i = 0; i < options.samples; ++i) {
    if (options.samples > 1) print("--- sample {} of {}\n", i + 1, options.samples);
    options.generate.first_sample = static_cast<std::uint32_t>(i);
    write_sample(run.model(), options);
  }
}

}  // namespace

void add_generate(CLI::App& program) {
  auto* command = program.add_subcommand(
      "generate", "Write text behind a PROMPT, or from nothing; for runs of the recipe text");
  auto options = std::make_shared<Options>();
  SampleOptions& sample = options->generate.sample;
  command->add_option("RUN", options->run, "Run folder")->type_name("")->required();
  command->add_option("PROMPT", options->prompt, "How the text begins; standard input is not read")
      ->type_name("");
  add_best(*command, options->weights);
  add_device_for_run(*command, options->device);
  add_math(*command, options->device);
  add_integer(*command, "--tokens", options->generate.tokens,
              "How many tokens to write, at most; a text may end earlier");
  add_number(*command, "--temperature", sample.temperature,
             "Below 1, probable tokens come more often; above 1, improbable ones; 0: always the "
             "most probable one");
  add_integer(*command, "--top-k", sample.top_k, "Draw from the k most probable tokens; 0: all");
  add_number(*command, "--top-p", sample.top_p,
             "Draw from the most probable tokens that together reach probability p; 1: all");
  add_number(*command, "--min-p", sample.min_p,
             "Draw from tokens with at least p times the largest probability; 0: all");
  add_integer(*command, "--seed", options->generate.seed, "Seed of the random numbers");
  add_integer(*command, "--samples", options->samples, "How many texts to write");
  command->footer(
      "The same seed writes the same text, whatever the number of samples. A terminal gets "
      "control characters as \\x1b; a file or a pipe gets the bytes as they are.\n\n" +
      examples({"generate runs/text Masks --tokens 400 --temperature 0.7"}));
  command->callback([options] { generate(*options); });
}

}  // namespace maskgrad::apps
