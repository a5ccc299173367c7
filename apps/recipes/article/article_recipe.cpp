#include "recipes/article/article_recipe.hpp"

#include <algorithm>
#include <functional>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/generate/sample.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/arithmetic_problem.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/formats/utf8.hpp>

#include "recipes/arithmetic_questions.hpp"
#include "recipes/article/article_data.hpp"
#include "recipes/check_is_below.hpp"
#include "recipes/without_blanks.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kLength = kArticleLength, kFeatures = kArticleFeatures / kLength;
constexpr auto kVocabulary = static_cast<std::int64_t>(kArithmeticVocabulary.size());
static_assert(kVocabulary == kArticleCharacters);

std::vector<std::string> labels_of(const Tensor& tokens) {
  std::vector<std::string> labels;
  for (const std::int64_t token : tokens.values<std::int64_t>()) {
    labels.push_back(arithmetic_text({&token, 1}));
  }
  return labels;
}

// The first answer, and the others that are not improbable.
Prediction most_probable(const std::vector<double>& probabilities) {
  constexpr double kImprobable = 0.005;
  Prediction prediction;
  for (std::int64_t token = 0; token < kVocabulary; ++token) {
    const double p = probabilities[static_cast<std::size_t>(token)];
    prediction.answers.push_back({arithmetic_text({&token, 1}), p});
  }
  std::ranges::stable_sort(prediction.answers, std::greater(), &Answer::probability);
  while (prediction.answers.size() > 1 && prediction.answers.back().probability < kImprobable) {
    prediction.answers.pop_back();
  }
  return prediction;
}

}  // namespace

std::int64_t known_max_val(const Settings& settings) {
  return settings.text("data").empty() ? settings.integer("max_val") : 0;
}

ArticleModel::ArticleModel(std::string recipe, const Settings& settings)
    : recipe_(std::move(recipe)), max_val_(known_max_val(settings)) {
  model_.add<Masking>("masking", kPadToken)
      .add<Embed>("embed", kVocabulary, kFeatures)
      .add<Reflect>("reflect", kFeatures, mask_axis_from_string(settings.text("mask")))
      .pack(pack_when_from_string(settings.text("pack")));
  add<Reshape>("reshape", std::vector{kArticleFeatures});
}

void ArticleModel::pad(std::int64_t positions) {
  constexpr std::int64_t kMost = 100'000;
  check(positions >= 0 && positions <= kMost, "pad", "must be from 0 to {}, not {}", kMost,
        positions);
  padding_ = positions;
}

ModelOutput ArticleModel::evaluate(const Batch& batch, Pass& pass) {
  const Variable logits = logits_of(batch.inputs, pass);
  return {ops::cross_entropy(logits, batch.targets),
          {to_metric("accuracy", ops::accuracy(logits, batch.targets))}};
}

std::vector<LayerSummary> ArticleModel::summarize(const Batch& batch) {
  return model_.summarize(Variable(batch.inputs));
}

std::vector<std::string> ArticleModel::explain_packing(const Batch& batch) {
  std::vector<std::string> lines;
  for (const PackingSummary& summary : model_.explain_packing(Variable(batch.inputs))) {
    lines.push_back(to_string(summary));
  }
  return lines;
}

std::vector<ReportMask> ArticleModel::attention_masks(const Batch& batch) {
  const Tensor tokens = batch.inputs.view(0, {1, kLength});
  const auto& reflect = dynamic_cast<const Reflect&>(model_.layer("reflect"));
  return {
      {"reflect", reflect.pairs(SequenceMask::from_tokens(tokens, kPadToken)), labels_of(tokens)}};
}

Reading ArticleModel::read(const std::string& text) {
  Reading reading = {.prediction = predict(text, {})};
  reading.batch = question_of(text);
  const Tensor& tokens = reading.batch.inputs;
  reading.labels = labels_of(tokens);
  reading.exists = SequenceMask::from_tokens(tokens, kPadToken);
  reading.given = reading.exists.kept();
  reading.answers_are = "first character of the answer";
  reading.run = [this, tokens](Pass& pass) { model_(Variable(tokens), pass); };
  return reading;
}

std::string ArticleModel::sample_text() const {
  constexpr std::int64_t kOfTheArticle = 100;
  return to_string(sample_problem(max_val_ > 0 ? max_val_ : kOfTheArticle));
}

Prediction ArticleModel::predict(const std::string& text, const PredictOptions&) {
  const NoGrad no_grad;
  Pass pass;
  const Variable logits = logits_of(question_of(text).inputs, pass);
  if (const auto found = find_not_finite(logits.value())) {
    fail(recipe_.c_str(), "the model has no answer to {}: it gives {}", quote(text), found->value);
  }
  return most_probable(probabilities(logits.value().view(0, {kVocabulary}), {}));
}

Batch ArticleModel::question_of(const std::string& typed) const {
  const std::string text = without_blanks(typed);
  check(text.size() <= kLength, recipe_.c_str(), "{} has {} characters, at most {} fit",
        quote(text), text.size(), kLength);
  SequenceDataset question(kLength, kPadToken);
  question.add(arithmetic_tokens(text), 0);
  const ArithmeticProblem problem = parse_problem(text);
  if (max_val_ > 0) check_is_below(problem, max_val_, recipe_.c_str());
  const std::int64_t first = 0;
  return question.collate({&first, 1});
}

// The dense layers have weights for kLength positions. So those behind are cut off where
// attention is over: they can count for what it gives, and for nothing else.
Variable ArticleModel::logits_of(const Tensor& tokens, Pass& pass) {
  if (padding_ == 0) return model_(Variable(tokens), pass);
  Variable x(padded(tokens));
  for (const char* name : {"masking", "embed", "reflect"}) x = model_.layer(name)(x, pass);
  x = ops::slice(x, 1, 0, kLength);
  for (const std::string& name : behind_) x = model_.layer(name)(x, pass);
  return x;
}

Tensor ArticleModel::padded(const Tensor& tokens) const {
  Tensor longer = Tensor::full({tokens.dim(0), kLength + padding_}, kPadToken, DType::kInt64);
  const auto from = tokens.values<std::int64_t>();
  for (std::int64_t b = 0; b < tokens.dim(0); ++b) {
    std::copy_n(from.begin() + b * kLength, kLength,
                longer.data<std::int64_t>() + b * (kLength + padding_));
  }
  return longer;
}

std::vector<Setting> ArticleRecipe::article_settings(std::vector<Setting> all, double val_share,
                                                     const std::vector<Setting>& own) const {
  using Int = std::int64_t;
  all.push_back(Setting{"mask", std::string("key"), "axis of the mask in self-attention"}.one_of(
      {"key", "query", "none"}));
  all.push_back(pack_setting());
  all.insert(all.end(), own.begin(), own.end());
  all.push_back(Setting{
      "shards", Int{0},
      fmt::format("how many shards to read, or to make; 0: reads all, makes {}", shards_made())}
                    .at_least(0)
                    .at_most(10000));
  all.push_back(Setting{"val_share", val_share,
                        "share of the samples, the last, that is held out of training; 0: none; "
                        "with val only eval reads it"}
                    .at_least(0)
                    .at_most(0.9)
                    .since(6));
  // Longer numbers would not fit the model's input.
  all.push_back(Setting{"max_val", Int{100},
                        "numbers in the data that it makes are smaller than this in absolute value"}
                    .at_least(1)
                    .at_most(10000));
  return recipe_settings(name(), std::move(all));
}

void ArticleRecipe::check_settings(const Settings& settings) const {
  const std::string &pack = settings.text("pack"), &mask = settings.text("mask");
  check(pack == "never" || mask == "key", name().c_str(),
        "--pack {0} needs --mask key: with --mask {1} the model reads padding, and a packed row "
        "has none",
        pack, mask);
}

bool ArticleRecipe::holds_out(const Settings& settings) const {
  return settings.real("val_share") > 0;
}

void ArticleRecipe::write_data(const Settings& settings,
                               const std::filesystem::path& folder) const {
  const std::int64_t shards = settings.integer("shards");
  write_arithmetic_shards(folder, {.shards = shards > 0 ? shards : shards_made(),
                                   .samples = 1000,
                                   .max_val = settings.integer("max_val"),
                                   .seed = settings.seed()});
}

std::unique_ptr<Dataset> ArticleRecipe::load_data(const Settings& settings,
                                                  const std::filesystem::path& folder,
                                                  DataPart part) const {
  return load_article_data(name(), folder, part == DataPart::kAll ? 0 : settings.integer("shards"),
                           part, settings.real("val_share"));
}

// Of the answer the first character. The data that are given may have other numbers.
std::vector<Question> ArticleRecipe::questions(const Settings& settings) const {
  constexpr std::int64_t kMaxValOfTheArticle = 100;
  const std::int64_t known = known_max_val(settings);
  return arithmetic_questions(
      known > 0 ? known : kMaxValOfTheArticle,
      [](const ArithmeticProblem& problem) { return to_string(problem).size() <= kLength; },
      [](std::int64_t result) { return std::to_string(result).substr(0, 1); });
}

}  // namespace maskgrad::apps
