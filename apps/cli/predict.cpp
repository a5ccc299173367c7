// maskgrad predict
#include <unistd.h>

#include "cli/command.hpp"
#include "cli/input.hpp"
#include "cli/output.hpp"
#include "cli/run_folder.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string run;
  Weights weights = Weights::kLast;
  std::vector<std::string> texts;
};

// An empty question has an empty answer, so that answers stay level with their questions.
std::string answer(RecipeModel& model, const std::string& text) {
  return text.empty() ? text : model.predict(text);
}

// Answers line by line, so that a reader at the other end of a pipe gets each at once.
void answer_lines(RecipeModel& model) {
  InputLines lines;
  for (std::string line; lines.next(line);) {
    std::string reply;
    try {
      reply = answer(model, line);
    } catch (const Error& error) {
      fail("predict", "line {}: {}: {}", lines.count(), error.name(), error.text());
    }
    print("{}\n", reply);
    flush_output();
  }
}

// A person who mistypes should not have to start again.
void answer_prompt(RecipeModel& model) {
  write_message("One question a line, such as x=-12,y=24:y-x; end with Ctrl-D.\n");
  InputLines lines;
  for (std::string line;;) {
    write_message("> ");
    if (!lines.next(line)) break;
    if (line.empty()) continue;
    std::string reply;
    try {
      reply = answer(model, line);
    } catch (const Error& error) {
      write_message(one_line(fmt::format("{}: {}", error.name(), error.text())) + "\n");
      continue;
    }
    print("{}\n", reply);
    flush_output();
  }
  write_message("\n");
}

void predict(const Options& options) {
  TrainedRun run(options.run, options.weights);
  if (!options.texts.empty()) {
    for (const std::string& text : options.texts) print("{}\n", answer(run.model(), text));
  } else if (isatty(STDIN_FILENO)) {
    answer_prompt(run.model());
  } else {
    answer_lines(run.model());
  }
}

}  // namespace

void add_predict(CLI::App& program) {
  auto* command = program.add_subcommand(
      "predict", "Answer each TEXT; without any, answer each line of standard input");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->run, "Run folder")->type_name("")->required();
  add_best(*command, options->weights);
  command
      ->add_option("TEXT", options->texts,
                   "Questions; without any, read standard input, or show a prompt")
      ->type_name("");
  command->footer("Example: maskgrad predict runs/first x=-12,y=24:y-x");
  command->callback([options] { predict(*options); });
}

}  // namespace maskgrad::apps
