// The questions of the recipe blog, answered from the mean of their characters, which knows no
// order: a small model, to see what order is worth.
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {
namespace {

constexpr auto kVocabulary = static_cast<std::int64_t>(kArithmeticVocabulary.size());

class PooledModel : public RecipeModel {
 public:
  explicit PooledModel(std::int64_t features) {
    model_.add<Masking>("masking", kPadToken)
        .add<Embed>("embed", kVocabulary, features)
        .add<GlobalPool>("pool")
        .add<Dense>("dense", features, kVocabulary);
  }

  Module& module() override { return model_; }

  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    const Variable logits = model_(Variable(batch.inputs), pass);
    return {ops::cross_entropy(logits, batch.targets),
            {to_metric("accuracy", ops::accuracy(logits, batch.targets))}};
  }

  std::vector<LayerSummary> summarize(const Batch& batch) override {
    return model_.summarize(Variable(batch.inputs));
  }

  Prediction predict(const std::string& text, const PredictOptions&) override {
    const NoGrad no_grad;
    SequenceDataset question;
    question.add(arithmetic_tokens(text), 0);
    const std::int64_t first = 0;
    const Variable logits = model_(Variable(question.collate({&first, 1}).inputs));
    const Tensor best = ops::argmax(logits.value(), -1);
    return {.answers = {{.text = arithmetic_text(best.values<std::int64_t>())}}};
  }

 private:
  Sequential model_;
};

class Pooled : public Recipe {
 public:
  std::string name() const override { return "pooled"; }
  std::string summary() const override { return "x=-12,y=24:y-x, from the mean of its characters"; }

  std::vector<Setting> settings() const override {
    return recipe_settings(
        name(), {Setting{"features", std::int64_t{16}, "features of a character"}.at_least(1)});
  }

  void write_data(const Settings& settings, const std::filesystem::path& folder) const override {
    write_arithmetic_shards(folder, {.shards = 1, .seed = settings.seed()});
  }

  std::unique_ptr<Dataset> load_data(const Settings&, const std::filesystem::path& folder,
                                     DataPart) const override {
    auto dataset = std::make_unique<SequenceDataset>();
    for (const auto& shard : list_shards(folder)) {
      for (const ArithmeticSample& sample : read_arithmetic_shard(shard)) {
        check(!sample.res.empty(), "pooled", "'{}' holds a sample without an answer",
              shard.string());
        dataset->add(arithmetic_tokens(sample.defs + ":" + sample.op),
                     arithmetic_tokens(sample.res).front());
      }
    }
    return dataset;
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return std::make_unique<PooledModel>(settings.integer("features"));
  }
};

const bool kRegistered = register_recipe(std::make_unique<Pooled>());

}  // namespace
}  // namespace maskgrad::apps
