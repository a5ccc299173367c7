// Arithmetic in full: reads `x=-12,y=24:y-x`, writes working steps, and answers `36`. A causal
// language model over the 20 characters of the article's task: embedding, learned positions,
// pre-norm decoder blocks, logits.
#include <algorithm>
#include <cmath>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/generate/generate.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/held_out_problems.hpp>
#include <maskgrad/train/data/working_steps.hpp>
#include <maskgrad/train/formats/utf8.hpp>

#include "recipes/arithmetic/answer_table.hpp"
#include "recipes/arithmetic_questions.hpp"
#include "recipes/causal_recipe.hpp"
#include "recipes/check_is_below.hpp"
#include "recipes/without_blanks.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "arithmetic";
constexpr auto kVocabulary = static_cast<std::int64_t>(kArithmeticVocabulary.size());

// Whether that was the last step. Only one of a few tokens can be.
bool ends_steps(std::span<const std::int64_t> made) {
  constexpr auto kBar = static_cast<std::int64_t>(kArithmeticVocabulary.find('|'));
  return made.back() == kBar && are_whole(arithmetic_text(made));
}

// How much text there can be for numbers of so many digits: a product takes the most.
struct Lengths {
  explicit Lengths(int digits) {
    const ArithmeticProblem product = {.operation = '*'};
    prompt = std::ssize(fixed_prompt(product, digits));
    steps = std::ssize(working_steps(product, digits));
  }
  std::int64_t prompt, steps;
};

class ArithmeticModel : public CausalRecipeModel {
 public:
  explicit ArithmeticModel(const Settings& settings)
      : CausalRecipeModel(kPadToken),
        max_val_(settings.integer("max_val")),
        digits_(digits_below(max_val_)),
        lengths_(digits_),
        label_smoothing_(settings.real("label_smoothing")) {
    const std::int64_t features = settings.integer("features");
    layers()
        .add<Embed>("embed", kVocabulary, features)
        .add<LearnedPositions>("positions", lengths_.prompt + lengths_.steps, features)
        .add<Decoder>("decoder", decoder_options(settings))
        .add<Dense>("logits", features, kVocabulary)
        .pack(pack_when_from_string(settings.text("pack")));
  }

  // The loss counts the working steps alone: the prompt is given.
  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    const Variable logits =
        ops::with_mask(layers()(tokens_of(batch), pass), SequenceMask(batch["asked"]));
    return {ops::cross_entropy(logits, batch.targets, label_smoothing_),
            {to_metric("tokens", ops::accuracy(logits, batch.targets)),
             to_metric("exact", ops::sequence_accuracy(logits, batch.targets))}};
  }

  Abilities abilities() const override { return {.writes_steps = true, .is_examined = true}; }

  std::optional<CausalModel> causal_model(const Batch& batch) override {
    return CausalModel{language_model(), tokens_of(batch), batch.targets,
                       SequenceMask(batch["asked"])};
  }

  Prediction predict(const std::string& text, const PredictOptions& options) override {
    const ArithmeticProblem problem = parse_problem(without_blanks(text));
    check_is_below(problem, max_val_, kName);
    const Tokens prompt = prompt_of(problem);
    const auto tell = [&](std::size_t, std::int64_t token) {
      if (options.on_steps) options.on_steps(arithmetic_text({&token, 1}));
      return true;
    };
    const Tokens made = generate(language_model(), {&prompt, 1}, steps_options(tell)).front();
    const std::string steps = arithmetic_text(made);
    const std::optional<std::int64_t> answer = answer_in(steps);
    check(answer.has_value(), kName, "the model writes no answer: {}", quote(steps));
    const double probability = options.probabilities ? probability_of(prompt, made) : 0;
    return {.answers = {{std::to_string(*answer), probability}}, .steps = steps};
  }

  // The last step is written and not read. The `|` before the last field begins the answer.
  Reading read(const std::string& text) override {
    Prediction prediction = predict(text, {.probabilities = true});
    const Tokens prompt = prompt_of(parse_problem(without_blanks(text)));
    Tokens all = prompt;
    const std::string& steps = prediction.steps;
    const Tokens made = arithmetic_tokens(steps);
    all.insert(all.end(), made.begin(), made.end() - 1);
    Reading reading = reading_of(all, std::ssize(prompt));
    reading.position =
        std::ssize(prompt) + static_cast<std::int64_t>(steps.rfind('|', steps.size() - 2));
    reading.prediction = std::move(prediction);
    reading.position_does = "writes the first character of the answer";
    reading.answers_are = "answer, with the probability of all steps";
    return reading;
  }

  std::string sample_text() const override { return to_string(sample_problem(max_val_)); }

  std::optional<Examination> examine(const ExamineOptions& options) override {
    constexpr std::size_t kBatch = 256;
    const std::vector<ArithmeticProblem> problems = held_out_problems(max_val_, options.samples);
    AnswerTable table;
    for (std::size_t first = 0; first < problems.size(); first += kBatch) {
      const auto part =
          std::span(problems).subspan(first, std::min(kBatch, problems.size() - first));
      answer(part, table);
      if (options.on_progress) {
        options.on_progress(static_cast<std::int64_t>(first + part.size()), std::ssize(problems));
      }
    }
    return table.examination();
  }

 private:
  std::string label(std::int64_t token) const override { return arithmetic_text({&token, 1}); }

  Tokens prompt_of(const ArithmeticProblem& problem) const {
    return arithmetic_tokens(fixed_prompt(problem, digits_));
  }

  GenerateOptions steps_options(std::function<bool(std::size_t, std::int64_t)> on_token) const {
    return {.tokens = lengths_.steps, .stop_when = ends_steps, .on_token = std::move(on_token)};
  }

  // Of the steps as a whole, each token given those before it.
  double probability_of(const Tokens& prompt, const Tokens& steps) {
    Tokens all = prompt;
    all.insert(all.end(), steps.begin(), steps.end());
    const Tensor logits = logits_of(all);
    double probability = 1;
    for (auto at = std::ssize(prompt); at < std::ssize(all); ++at) {
      const Tensor before = logits.view((at - 1) * kVocabulary, {kVocabulary});
      probability *=
          probabilities(before, {})[static_cast<std::size_t>(all[static_cast<std::size_t>(at)])];
    }
    return probability;
  }

  void answer(std::span<const ArithmeticProblem> problems, AnswerTable& table) {
    std::vector<Tokens> prompts;
    for (const ArithmeticProblem& problem : problems) prompts.push_back(prompt_of(problem));
    const std::vector<Tokens> made = generate(language_model(), prompts, steps_options({}));
    for (std::size_t i = 0; i < problems.size(); ++i) {
      table.add(problems[i], answer_in(arithmetic_text(made[i])));
    }
  }

  std::int64_t max_val_;
  int digits_;
  Lengths lengths_;
  double label_smoothing_;
};

class ArithmeticRecipe : public Recipe {
 public:
  std::string name() const override { return kName; }
  std::string summary() const override {
    return "Arithmetic in full: x=-12,y=24:y-x -> 36, by a causal transformer";
  }

  std::vector<Setting> settings() const override {
    using Int = std::int64_t;
    const std::vector<Setting> own = {
        Setting{"max_val", Int{100}, "numbers are smaller than this in absolute value"}
            .at_least(2)
            .at_most(kMostMaxVal),
        Setting{"samples", Int{32'000}, "problems of an epoch; each epoch draws new ones"}
            .at_least(1)
            .at_most(100'000'000),
        Setting{"rare", 0.25, "share of rare problems, such as those with a zero, at the beginning"}
            .at_least(0)
            .at_most(1),
        Setting{"label_smoothing", 0.0, "share of the target that is spread over all characters"}
            .at_least(0)
            .at_most(1)};
    return causal_settings(name(), training(), own,
                           {.features = 64, .layers = 3, .heads = 4, .dropout = 0}, data_source());
  }

  void check_settings(const Settings& settings) const override {
    check_heads(name(), settings, HeadWidth::kAny);
  }

  DataSource data_source() const override { return DataSource::kDrawn; }
  bool holds_out(const Settings&) const override { return true; }

  std::unique_ptr<Dataset> load_data(const Settings& settings, const std::filesystem::path&,
                                     DataPart part) const override {
    constexpr std::int64_t kValidation = 2000;
    const bool held_out = part != DataPart::kTraining;
    return std::make_unique<WorkingSteps>(
        WorkingStepsData{.samples = held_out ? kValidation : settings.integer("samples"),
                         .max_val = settings.integer("max_val"),
                         .seed = settings.seed(),
                         .rare = held_out ? 0 : settings.real("rare"),
                         .held_out = held_out});
  }

  std::vector<Question> questions(const Settings& settings) const override {
    return arithmetic_questions(
        settings.integer("max_val"),
        [](const ArithmeticProblem& problem) { return is_held_out(problem.x, problem.y); },
        [](std::int64_t result) { return std::to_string(result); });
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return std::make_unique<ArithmeticModel>(settings);
  }

 private:
  // Defaults of what every recipe has.
  static std::vector<Setting> training() {
    using Int = std::int64_t;
    return {Setting{"epochs", Int{0}, ""},     Setting{"minutes", 5.0, ""},
            Setting{"threads", Int{0}, ""},    Setting{"batch_size", Int{64}, ""},
            Setting{"shuffle", false, ""},     Setting{"optimizer", std::string("adamw"), ""},
            Setting{"lr", 2e-3, ""},           Setting{"beta2", 0.98, ""},
            Setting{"weight_decay", 0.01, ""}, Setting{"schedule", std::string("wsd"), ""},
            Setting{"decay_share", 0.3, ""},   Setting{"warmup_steps", Int{200}, ""},
            Setting{"clip_norm", 1.0, ""},     Setting{"ema", 0.999, ""}};
  }
};

const bool kRegistered = register_recipe(std::make_unique<ArithmeticRecipe>());

}  // namespace
}  // namespace maskgrad::apps
