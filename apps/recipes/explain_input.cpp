#include "recipes/explain_input.hpp"

#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::apps {

ExplainedInput explain_input(RecipeModel& model, const std::string& text) {
  const NoGrad no_grad;
  Reading reading = model.read(text);
  const ops::AttentionWatch watch;
  Pass pass = Pass::unpacked();
  reading.run(pass);
  ExplainedInput input = {.text = text,
                          .tokens = std::move(reading.labels),
                          .exists = reading.exists,
                          .dropped = reading.dropped,
                          .given = reading.given,
                          .unread = reading.unread,
                          .position = reading.position,
                          .position_does = std::move(reading.position_does),
                          .attention = watch.seen(),
                          .answers_are = std::move(reading.answers_are)};
  for (const Answer& answer : reading.prediction.answers) {
    input.answers.emplace_back(answer.text, answer.probability);
  }
  input.steps = std::move(reading.prediction.steps);
  input.steps_are = std::move(reading.prediction.steps_are);
  return input;
}

}  // namespace maskgrad::apps
