// Gates beside one another: the article's task, with a stack behind its attention that has the gate
// of the setting `gate`. Masking, Embed 20x15, Reflect, Reshape, two layers of 150 with tanh, the
// gate, Dense 20.
#include <array>
#include <string_view>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/gates/gated_feed_forward.hpp>
#include <maskgrad/layers/gates/glu.hpp>
#include <maskgrad/layers/gates/highway.hpp>
#include <maskgrad/layers/gates/threshold_gate.hpp>

#include "recipes/article/article_recipe.hpp"
#include "recipes/gates/mixture.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "gates";

using Options = GatedFeedForwardOptions;

Options gated(const GateOptions& gate, std::vector<bool> gates = {false, true}) {
  return {.gates = std::move(gates), .gate = gate};
}

class GatesModel : public ArticleModel {
 public:
  explicit GatesModel(const Settings& settings)
      : ArticleModel(kName, settings), hidden_(settings.integer("hidden")) {
    const std::string& gate = settings.text("gate");
    for (const auto& [name, add_to] : kKinds) {
      if (name == gate) (this->*add_to)();
    }
    add<Dense>("logits", hidden_, kArticleCharacters);
  }

  /// The choices of the setting `gate`.
  static std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const Kind& kind : kKinds) all.emplace_back(kind.name);
    return all;
  }

 private:
  struct Kind {
    std::string_view name;
    void (GatesModel::*add)();
  };
  static const std::array<Kind, 9> kKinds;

  void add_stack(const Options& options) {
    add<GatedFeedForward>("stack", kArticleFeatures, hidden_, options);
  }
  void add_none() { add_stack(gated({}, {false, false})); }
  void add_sigmoid() { add_stack(gated({})); }
  void add_each() { add_stack(gated({.each_feature = true})); }
  void add_between() { add_stack(gated({.each_feature = true}, {true, false})); }
  void add_tanh() { add_stack(gated({.activation = Activation::kTanh, .each_feature = true})); }
  void add_first() { add_stack(gated({}, {false})); }
  void add_softmax() {
    constexpr std::int64_t kCandidates = 4;
    add_first();
    add<Mixture>("mixture", hidden_, kCandidates);
  }
  void add_threshold() {
    add_first();
    add<Dense>("dense", hidden_, hidden_);
    add<ThresholdGate>("threshold", hidden_);
  }
  void add_highway() {
    add_first();
    add<Highway>("highway", hidden_);
  }
  void add_glu() {
    add_first();
    add<Glu>("glu", hidden_, hidden_);
  }

  std::int64_t hidden_;
};

constexpr std::array<GatesModel::Kind, 9> GatesModel::kKinds = {
    {{"none", &GatesModel::add_none},
     {"sigmoid", &GatesModel::add_sigmoid},
     {"sigmoid-each", &GatesModel::add_each},
     {"between", &GatesModel::add_between},
     {"tanh", &GatesModel::add_tanh},
     {"softmax", &GatesModel::add_softmax},
     {"threshold", &GatesModel::add_threshold},
     {"highway", &GatesModel::add_highway},
     {"glu", &GatesModel::add_glu}}};

class GatesRecipe : public ArticleRecipe {
 public:
  std::string name() const override { return kName; }
  std::string summary() const override {
    return "Gates compared: the article's task, through a stack of layers with a gate";
  }
  std::string example() const override { return "--gate sigmoid-each --seed 1"; }

  std::vector<Setting> settings() const override {
    using Int = std::int64_t;
    return article_settings(
        {Setting{"epochs", Int{30}, ""}, Setting{"batch_size", Int{32}, ""}}, 0.2,
        {Setting{
             "gate", std::string("sigmoid"),
             "gate of the stack; sigmoid has one value for all features, and the others have one "
             "for each"}
             .one_of(GatesModel::names()),
         Setting{"hidden", Int{150}, "features of the stack"}.at_least(1).at_most(100'000)});
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return std::make_unique<GatesModel>(settings);
  }

 private:
  std::int64_t shards_made() const override { return 10; }
};

const bool kRegistered = register_recipe(std::make_unique<GatesRecipe>());

}  // namespace
}  // namespace maskgrad::apps
