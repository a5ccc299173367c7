// The experiment of the article "Unified Adaptable Masking That Follows": reads `x=-12,y=24:y-x`,
// predicts the first character of the answer. 49,145 parameters: Masking, Embed 20x15, Reflect,
// Reshape, Dense 150 relu, Dense 20; cross-entropy, Adam, batches of 2.
#include <algorithm>
#include <functional>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/generate/sample.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/arithmetic_problem.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/formats/utf8.hpp>

#include "recipes/arithmetic_questions.hpp"
#include "recipes/blog/article.hpp"
#include "recipes/blog/blog_data.hpp"
#include "recipes/check_is_below.hpp"
#include "recipes/recipe.hpp"
#include "recipes/without_blanks.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kLength = kBlogLength, kFeatures = 15, kHidden = 150;
constexpr auto kVocabulary = static_cast<std::int64_t>(kArithmeticVocabulary.size());

// 0: the numbers of data that are given are not known.
std::int64_t known_max_val(const Settings& settings) {
  return settings.text("data").empty() ? settings.integer("max_val") : 0;
}

class BlogModel : public RecipeModel {
 public:
  explicit BlogModel(const Settings& settings) : max_val_(known_max_val(settings)) {
    model_.add<Masking>("masking", kPadToken)
        .add<Embed>("embed", kVocabulary, kFeatures)
        .add<Reflect>("reflect", kFeatures, mask_axis_from_string(settings.text("mask")))
        .add<Reshape>("reshape", std::vector{kLength * kFeatures})
        .add<Dense>("dense", kLength * kFeatures, kHidden, ops::relu)
        .add<Dense>("dbd", kHidden, kVocabulary)
        .pack(pack_when_from_string(settings.text("pack")));
  }

  Module& module() override { return model_; }

  Abilities abilities() const override { return {.takes_padding = true}; }

  void pad(std::int64_t positions) override {
    constexpr std::int64_t kMost = 100'000;
    check(positions >= 0 && positions <= kMost, "pad", "must be from 0 to {}, not {}", kMost,
          positions);
    padding_ = positions;
  }

  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    const Variable logits = logits_of(batch.inputs, pass);
    return {ops::cross_entropy(logits, batch.targets),
            {to_metric("accuracy", ops::accuracy(logits, batch.targets))}};
  }

  std::vector<LayerSummary> summarize(const Batch& batch) override {
    return model_.summarize(Variable(batch.inputs));
  }

  std::vector<std::string> explain_packing(const Batch& batch) override {
    std::vector<std::string> lines;
    for (const PackingSummary& summary : model_.explain_packing(Variable(batch.inputs))) {
      lines.push_back(to_string(summary));
    }
    return lines;
  }

  std::vector<ReportMask> attention_masks(const Batch& batch) override {
    const Tensor tokens = batch.inputs.view(0, {1, kLength});
    const auto& reflect = dynamic_cast<const Reflect&>(model_.layer("reflect"));
    return {{"reflect", reflect.pairs(SequenceMask::from_tokens(tokens, kPadToken)),
             labels_of(tokens)}};
  }

  Reading read(const std::string& text) override {
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

  std::string sample_text() const override {
    constexpr std::int64_t kOfTheArticle = 100;
    return to_string(sample_problem(max_val_ > 0 ? max_val_ : kOfTheArticle));
  }

  Prediction predict(const std::string& text, const PredictOptions&) override {
    const NoGrad no_grad;
    Pass pass;
    const Variable logits = logits_of(question_of(text).inputs, pass);
    if (const auto found = find_not_finite(logits.value())) {
      fail("blog", "the model has no answer to {}: it gives {}", quote(text), found->value);
    }
    return most_probable(probabilities(logits.value().view(0, {kVocabulary}), {}));
  }

 private:
  Batch question_of(const std::string& typed) const {
    const std::string text = without_blanks(typed);
    check(text.size() <= kLength, "blog", "{} has {} characters, at most {} fit", quote(text),
          text.size(), kLength);
    SequenceDataset question(kLength, kPadToken);
    question.add(arithmetic_tokens(text), 0);
    const ArithmeticProblem problem = parse_problem(text);
    if (max_val_ > 0) check_is_below(problem, max_val_, "blog");
    const std::int64_t first = 0;
    return question.collate({&first, 1});
  }

  static std::vector<std::string> labels_of(const Tensor& tokens) {
    std::vector<std::string> labels;
    for (const std::int64_t token : tokens.values<std::int64_t>()) {
      labels.push_back(arithmetic_text({&token, 1}));
    }
    return labels;
  }

  // The dense layers have weights for kLength positions. So those behind are cut off where
  // attention is over: they can count for what it gives, and for nothing else.
  Variable logits_of(const Tensor& tokens, Pass& pass) {
    if (padding_ == 0) return model_(Variable(tokens), pass);
    Variable x(padded(tokens));
    for (const char* name : {"masking", "embed", "reflect"}) x = model_.layer(name)(x, pass);
    x = ops::slice(x, 1, 0, kLength);
    for (const char* name : {"reshape", "dense", "dbd"}) x = model_.layer(name)(x, pass);
    return x;
  }

  Tensor padded(const Tensor& tokens) const {
    Tensor longer = Tensor::full({tokens.dim(0), kLength + padding_}, kPadToken, DType::kInt64);
    const auto from = tokens.values<std::int64_t>();
    for (std::int64_t b = 0; b < tokens.dim(0); ++b) {
      std::copy_n(from.begin() + b * kLength, kLength,
                  longer.data<std::int64_t>() + b * (kLength + padding_));
    }
    return longer;
  }

  // The first answer, and the others that are not improbable.
  static Prediction most_probable(const std::vector<double>& probabilities) {
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

  std::int64_t max_val_;      // 0: not known
  std::int64_t padding_ = 0;  // positions behind the kLength of a sample
  Sequential model_;
};

class BlogRecipe : public Recipe {
 public:
  std::string name() const override { return "blog"; }
  std::string summary() const override {
    return "The article's experiment: x=-12,y=24:y-x -> first character of the answer";
  }

  std::vector<Setting> settings() const override {
    using Int = std::int64_t;
    return recipe_settings(
        name(),
        {Setting{"batch_size", Int{2}, ""}, Setting{"shuffle", false, ""},
         Setting{"mask", std::string("key"), "axis of the mask in self-attention"}.one_of(
             {"key", "query", "none"}),
         pack_setting(),
         Setting{"shards", Int{0}, "how many shards to read, or to make; 0: reads all, makes 2"}
             .at_least(0)
             .at_most(10000),
         Setting{"val_share", 0.0,
                 "share of the samples, the last, that is held out of training; 0: none; with val "
                 "only eval reads it"}
             .at_least(0)
             .at_most(0.9)
             .since(6),
         // Longer numbers would not fit the model's input.
         Setting{"max_val", Int{100},
                 "numbers in the data that it makes are smaller than this in absolute value"}
             .at_least(1)
             .at_most(10000)});
  }

  void check_settings(const Settings& settings) const override {
    const std::string &pack = settings.text("pack"), &mask = settings.text("mask");
    check(pack == "never" || mask == "key", "blog",
          "--pack {0} needs --mask key: with --mask {1} the model reads padding, and a packed row "
          "has none",
          pack, mask);
  }

  bool holds_out(const Settings& settings) const override { return settings.real("val_share") > 0; }

  void write_data(const Settings& settings, const std::filesystem::path& folder) const override {
    constexpr std::int64_t kShardsOfTheArticle = 2;
    const std::int64_t shards = settings.integer("shards");
    write_arithmetic_shards(folder, {.shards = shards > 0 ? shards : kShardsOfTheArticle,
                                     .samples = 1000,
                                     .max_val = settings.integer("max_val"),
                                     .seed = settings.seed()});
  }

  std::unique_ptr<Dataset> load_data(const Settings& settings, const std::filesystem::path& folder,
                                     DataPart part) const override {
    return load_blog_data(folder, part == DataPart::kAll ? 0 : settings.integer("shards"), part,
                          settings.real("val_share"));
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return std::make_unique<BlogModel>(settings);
  }

  std::vector<ReferenceCurve> references(const Settings& settings,
                                         std::int64_t steps_in_epoch) const override {
    if (!is_as_in_the_article(settings, steps_in_epoch)) return {};
    return {article_curve()};
  }

  // Of the answer the first character. The data that are given may have other numbers.
  std::vector<Question> questions(const Settings& settings) const override {
    constexpr std::int64_t kMaxValOfTheArticle = 100;
    const std::int64_t known = known_max_val(settings);
    return arithmetic_questions(
        known > 0 ? known : kMaxValOfTheArticle,
        [](const ArithmeticProblem& problem) { return to_string(problem).size() <= kLength; },
        [](std::int64_t result) { return std::to_string(result).substr(0, 1); });
  }

 private:
  // Whether a run repeats the article's but for its mask, its length and its random numbers.
  bool is_as_in_the_article(const Settings& settings, std::int64_t steps_in_epoch) const {
    constexpr std::int64_t kSteps = 1000;  // 2,000 samples in batches of 2
    const Settings defaults(this->settings());
    const auto is_default = [&](const char* key) {
      return to_string(settings.setting(key).value) == to_string(defaults.setting(key).value);
    };
    constexpr const char* kKeys[] = {"batch_size", "lr",  "schedule",  "warmup_steps",
                                     "clip_norm",  "ema", "optimizer", "beta2",
                                     "shuffle",    "init"};
    return steps_in_epoch == kSteps && std::ranges::all_of(kKeys, is_default) &&
           (known_max_val(settings) == 0 || is_default("max_val"));
  }
};

const bool kRegistered = register_recipe(std::make_unique<BlogRecipe>());

}  // namespace
}  // namespace maskgrad::apps
