// maskgrad predict
#include <unistd.h>

#include <maskgrad/tensor/print.hpp>

#include "cli/command.hpp"
#include "cli/device.hpp"
#include "cli/input.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/prompt.hpp"
#include "cli/run_folder.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::string run;
  Weights weights = Weights::kLast;
  Device device = {};
  std::vector<std::string> texts;
  bool show_work = false, probabilities = false;
  std::int64_t pad = 0;
};

std::string text_of(const Prediction& prediction, bool probabilities) {
  if (!probabilities) return prediction.answers.front().text;
  std::string text;
  for (const Answer& answer : prediction.answers) {
    text += fmt::format("{}{}  {:.4f}", text.empty() ? "" : ", ", answer.text, answer.probability);
  }
  return text;
}

// The model has no answer to a question.
struct Unanswered : Error {
  Unanswered(const Error& error, bool begun)
      : Error(error.name(), error.text()), has_begun(begun) {}
  bool has_begun;  // steps were written, and no end of the line
};

// Writes one line for one question, the steps as they come. An empty question has an empty answer,
// so that answers stay level with their questions.
void answer(RecipeModel& model, const std::string& text, const Options& options) {
  if (text.empty()) return print("\n");
  bool has_begun = false, is_writing = false;
  PredictOptions how = {.probabilities = options.probabilities};
  if (options.show_work) {
    how.on_steps = [&](std::string_view piece) {
      has_begun = is_writing = true;
      write_output(piece);
      flush_output();
      is_writing = false;
    };
  }
  Prediction prediction;
  try {
    prediction = model.predict(text, how);
  } catch (const Error& error) {
    if (is_writing) throw;  // whoever reads is gone
    throw Unanswered(error, has_begun);
  }
  print("{}{}\n", has_begun ? "  " : "", text_of(prediction, options.probabilities));
}

std::string text_of(const Error& error) {
  return one_line(fmt::format("{}: {}", error.name(), error.text()));
}

void answer_one(RecipeModel& model, const std::string& text, const Options& options) {
  try {
    answer(model, text, options);
  } catch (const Unanswered& error) {
    if (error.has_begun) print("\n");
    throw;
  }
}

// Answers one question after another. One without an answer gets an error in its line.
class Answers {
 public:
  // `what`: a question in words.
  Answers(RecipeModel& model, const Options& options, const char* what)
      : model_(model), options_(options), what_(what) {}

  // A reader at the other end of a pipe gets each at once.
  void add(const std::string& text) {
    try {
      answer(model_, text, options_);
      ++count_;
    } catch (const Unanswered& error) {
      if (error.has_begun) print("  ");
      add_error(error);
    }
    flush_output();
  }

  // For a question that cannot be asked.
  void add_error(const Error& error) {
    print("error: {}\n", text_of(error));
    ++count_;
    if (unanswered_++ == 0) first_ = fmt::format("{} {}: {}", what_, count_, text_of(error));
    flush_output();
  }

  void check_all_answered() const {
    check(unanswered_ == 0, "predict", "no answer to {} of {}; {}", with_commas(unanswered_),
          count_of(count_, what_), first_);
  }

 private:
  RecipeModel& model_;
  const Options& options_;
  const char* what_;
  std::int64_t count_ = 0, unanswered_ = 0;
  std::string first_;  // of those without an answer
};

void answer_texts(RecipeModel& model, const Options& options) {
  if (options.texts.size() == 1) return answer_one(model, options.texts.front(), options);
  Answers answers(model, options, "question");
  for (const std::string& text : options.texts) answers.add(text);
  answers.check_all_answered();
}

void answer_lines(RecipeModel& model, const Options& options) {
  InputLines lines;
  Answers answers(model, options, "line");
  for (std::string line;;) {
    try {
      if (!lines.next(line)) break;
    } catch (const LongLine& error) {
      answers.add_error(error);
      continue;
    }
    answers.add(line);
  }
  answers.check_all_answered();
}

// For a person to read: broken between words, as wide as the terminal.
void write_paragraph(const std::string& text) {
  const int columns = message_columns();
  if (columns <= 0) return write_message(text + "\n");
  for (const std::string& line : wrapped(text, static_cast<std::size_t>(columns))) {
    write_message(line + "\n");
  }
}

// A person who mistypes should not have to start again.
void answer_prompt(RecipeModel& model, const Options& options) {
  const std::string sample = model.sample_text();
  write_paragraph(fmt::format("One question a line{}; quit, exit or Ctrl-D ends.",
                              sample.empty() ? "" : fmt::format(", such as {}", sample)));
  Prompt prompt;
  for (std::string line; prompt.next(line);) {
    if (line.empty()) continue;
    try {
      answer_one(model, line, options);
    } catch (const Unanswered& error) {
      flush_output();
      write_paragraph(text_of(error));
    }
    flush_output();
  }
}

// Among others an empty question keeps the lines level.
void check_options(const Options& options) {
  check(options.texts.size() != 1 || !options.texts.front().empty(), "usage",
        "the question is empty");
}

void check_abilities(const Options& options, TrainedRun& run) {
  const Abilities abilities = run.model().abilities();
  as_usage([&] {
    check(!options.show_work || abilities.writes_steps, "usage",
          "--show-work: the recipe {} writes nothing on its way to an answer", run.recipe().name());
  });
  if (abilities.writes_texts) {
    warn(fmt::format("predict: the recipe {} tells the next byte; maskgrad generate writes texts",
                     run.recipe().name()));
  }
}

void predict(const Options& options) {
  as_usage([&] { check_options(options); });
  TrainedRun run(options.run, options.weights, options.device);
  check_abilities(options, run);
  pad_inputs(run, options.pad);
  if (!options.texts.empty()) {
    answer_texts(run.model(), options);
  } else if (isatty(STDIN_FILENO)) {
    answer_prompt(run.model(), options);
  } else {
    answer_lines(run.model(), options);
  }
}

}  // namespace

void add_predict(CLI::App& program) {
  auto* command = program.add_subcommand(
      "predict", "Answer each TEXT; or without TEXT, each line of standard input");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->run, "Run folder")->type_name("")->required();
  add_best(*command, options->weights);
  add_device_for_run(*command, options->device);
  add_math(*command, options->device);
  command->add_option("TEXT", options->texts, "Questions; without any, a terminal gets a prompt")
      ->type_name("");
  command->add_flag(
      "--show-work", options->show_work,
      "Show the steps to the answer: what the model writes, chooses or keeps on the way");
  command->add_flag("--probabilities", options->probabilities,
                    "Show answers with their probabilities");
  add_pad(*command, options->pad);
  command->footer(
      "Where a question has no answer, a line \"error: ...\" stands in the answer's place. The "
      "other questions are answered, and the exit code is 1. At the prompt, quit, exit or "
      "Ctrl-D ends. Blanks in questions of arithmetic count for nothing.\n\n" +
      examples({"predict runs/first x=-12,y=24:y-x"}));
  command->callback([options] { predict(*options); });
}

}  // namespace maskgrad::apps
