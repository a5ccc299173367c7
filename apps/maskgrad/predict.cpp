// maskgrad predict
#include <iostream>

#include <unistd.h>

#include "command.hpp"
#include "run_folder.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string run;
  std::vector<std::string> texts;
};

// Answers line by line, so that a reader at the other end of a pipe gets each at once.
void answer_lines(RecipeModel& model) {
  std::int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    try {
      std::cout << model.predict(line) << std::endl;
    } catch (const Error& error) {
      fail("predict", "line {} of standard input: {}", number, error.what());
    }
  }
}

// A person who mistypes should not have to start again.
void answer_prompt(RecipeModel& model) {
  std::cerr << "One question a line, such as x=-12,y=24:y-x; end with Ctrl-D.\n";
  for (std::string line;;) {
    std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line)) break;
    if (line.empty()) continue;
    try {
      std::cout << model.predict(line) << std::endl;
    } catch (const Error& error) {
      std::cerr << error.what() << '\n';
    }
  }
  std::cerr << '\n';
}

void predict(const Options& options) {
  TrainedRun run(options.run);
  if (!options.texts.empty()) {
    for (const std::string& text : options.texts) std::cout << run.model().predict(text) << '\n';
  } else if (isatty(STDIN_FILENO)) {
    answer_prompt(run.model());
  } else {
    answer_lines(run.model());
  }
}

}  // namespace

void add_predict(CLI::App& program) {
  auto* command = program.add_subcommand(
      "predict", "Answer each TEXT, or each line of standard input, or at a prompt");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->run, "Run folder")->required();
  command->add_option("TEXT", options->texts, "Questions; none: read standard input");
  command->footer("Example: maskgrad predict runs/first x=-12,y=24:y-x");
  command->callback([options] { predict(*options); });
}

}  // namespace maskgrad::apps
