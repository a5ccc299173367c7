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
  bool show_work = false, probabilities = false;
};

std::string text_of(const Prediction& prediction, bool probabilities) {
  if (!probabilities) return prediction.answers.front().text;
  std::string text;
  for (const Answer& answer : prediction.answers) {
    text += fmt::format("{}{}  {:.4f}", text.empty() ? "" : ", ", answer.text, answer.probability);
  }
  return text;
}

// Writes one line for one question, the steps as they come. An empty question has an empty answer,
// so that answers stay level with their questions.
void answer(RecipeModel& model, const std::string& text, const Options& options) {
  if (text.empty()) return print("\n");
  bool has_begun = false;
  PredictOptions how = {.probabilities = options.probabilities};
  if (options.show_work) {
    how.on_steps = [&](std::string_view piece) {
      has_begun = true;
      write_output(piece);
      flush_output();
    };
  }
  try {
    const Prediction prediction = model.predict(text, how);
    print("{}{}\n", has_begun ? "  " : "", text_of(prediction, options.probabilities));
  } catch (const Error&) {
    if (has_begun) print("\n");
    throw;
  }
}

// Answers line by line, so that a reader at the other end of a pipe gets each at once.
void answer_lines(RecipeModel& model, const Options& options) {
  InputLines lines;
  for (std::string line; lines.next(line);) {
    try {
      answer(model, line, options);
    } catch (const Error& error) {
      fail("predict", "line {}: {}: {}", lines.count(), error.name(), error.text());
    }
    flush_output();
  }
}

// A person who mistypes should not have to start again.
void answer_prompt(RecipeModel& model, const Options& options) {
  write_message("One question a line; end with Ctrl-D.\n");
  InputLines lines;
  for (std::string line;;) {
    write_message("> ");
    if (!lines.next(line)) break;
    if (line.empty()) continue;
    try {
      answer(model, line, options);
    } catch (const Error& error) {
      write_message(one_line(fmt::format("{}: {}", error.name(), error.text())) + "\n");
    }
    flush_output();
  }
  write_message("\n");
}

void predict(const Options& options) {
  TrainedRun run(options.run, options.weights);
  if (!options.texts.empty()) {
    for (const std::string& text : options.texts) answer(run.model(), text, options);
  } else if (isatty(STDIN_FILENO)) {
    answer_prompt(run.model(), options);
  } else {
    answer_lines(run.model(), options);
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
  command->add_flag("--show-work", options->show_work,
                    "Write what the model writes on its way to the answer, too");
  command->add_flag("--probabilities", options->probabilities,
                    "Write how probable the model holds its answers");
  command->footer("Example: maskgrad predict runs/first x=-12,y=24:y-x");
  command->callback([options] { predict(*options); });
}

}  // namespace maskgrad::apps
