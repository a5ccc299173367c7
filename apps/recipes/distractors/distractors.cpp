// Problems with junk behind them: a model learns to answer, and a mask which tokens it needs.
#include <maskgrad/layers/learned_mask/sampler.hpp>
#include <maskgrad/layers/learned_mask/sparsity_cost.hpp>

#include "recipes/distractors/distractors_model.hpp"
#include "recipes/distractors/sampling.hpp"
#include "recipes/phase_settings.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "distractors";

std::vector<std::string> sampler_choices() {
  std::vector<std::string> names = sampler_names();
  names.insert(names.end(), {"none", "oracle"});
  return names;
}

class DistractorsRecipe : public Recipe {
 public:
  std::string name() const override { return kName; }
  std::string summary() const override {
    return "Problems with junk behind them: a mask learns what an answer needs";
  }
  std::string example() const override { return "--sampler hard-concrete --seed 1"; }

  std::vector<Setting> settings() const override {
    using Int = std::int64_t;
    std::vector<Setting> own = training();
    const std::vector<Setting> further = {
        Setting{"sampler", std::string("gumbel"),
                "how the mask is learned; none: all is kept; oracle: all but junk"}
            .one_of(sampler_choices()),
        Setting{"scorer", std::string("class"),
                "what the mask sees of a token: its content, or its class alone"}
            .one_of({"content", "class"}),
        Setting{"price", std::string("kept"),
                "which tokens have a cost: those kept, or those masked"}
            .one_of({"kept", "masked"}),
        Setting{"cost", 0.05,
                fmt::format("of such a token, in nats of the answer's loss; straight-through pays "
                            "{} of it",
                            sampling_of("straight-through").pays)}
            .at_least(0)
            .at_most(100),
        share_setting("warm_up", 0.3, "of the steps, the first: the model learns from all tokens"),
        share_setting("calibrate", 0.15, "of the steps: it learns with tokens left out by chance"),
        share_setting("select", 0.4, "of the steps: the mask is learned, and hard from then on"),
        Setting{"samples", Int{16'000}, "problems of an epoch; each epoch draws new ones"}
            .at_least(1)
            .at_most(100'000'000),
        Setting{"most_junk", Int{12}, "the most tokens of junk behind a problem"}
            .at_least(0)
            .at_most(100),
        Setting{"most_lead", Int{3}, "the most separators before a problem"}.at_least(0).at_most(
            100),
        size_setting("features", 32, "of each token in the model that answers"),
        size_setting("layers", 2, "blocks of the model that answers"),
        size_setting("heads", 4, "of attention in each block of both models"),
        size_setting("selector_features", 32, "of each token in the model that makes the mask"),
        size_setting("selector_layers", 2, "blocks of the model that makes the mask")};
    own.insert(own.end(), further.begin(), further.end());
    return recipe_settings(name(), own, data_source());
  }

  void check_settings(const Settings& settings) const override {
    for (const char* key : {"features", "selector_features"}) {
      check(settings.integer(key) % settings.integer("heads") == 0, kName,
            "--heads must cut both features into equal parts, and {} does not cut {} so",
            settings.integer("heads"), settings.integer(key));
    }
    check(settings.integer("selector_features") / settings.integer("heads") % 2 == 0, kName,
          "--heads must cut --selector-features into parts of an even size, and cuts {} into {}",
          settings.integer("selector_features"),
          settings.integer("selector_features") / settings.integer("heads"));
    if (!learns_mask(settings.text("sampler"))) return;
    constexpr const char* kPhases[] = {"warm_up", "calibrate", "select"};
    check_phases(settings, kPhases, kName);
    // What a token costs hangs on how well a batch does.
    check_whole_batches(settings, kName);
  }

  DataSource data_source() const override { return DataSource::kDrawn; }
  bool holds_out(const Settings&) const override { return true; }

  std::unique_ptr<Dataset> load_data(const Settings& settings, const std::filesystem::path&,
                                     DataPart part) const override {
    constexpr std::int64_t kValidation = 1000;
    DistractorData data = distractor_data(settings);
    data.held_out = part != DataPart::kTraining;
    if (data.held_out) data.samples = kValidation;
    return std::make_unique<Distractors>(data);
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return make_distractors_model(settings);
  }

 private:
  // Defaults of what every recipe has.
  static std::vector<Setting> training() {
    using Int = std::int64_t;
    return {Setting{"epochs", Int{0}, ""},    steps_setting(8'000),
            Setting{"threads", Int{0}, ""},   Setting{"batch_size", Int{64}, ""},
            Setting{"shuffle", false, ""},    Setting{"optimizer", std::string("adam-pytorch"), ""},
            Setting{"lr", 5e-3, ""},          Setting{"beta2", 0.98, ""},
            Setting{"clip_norm", 1.0, ""},    Setting{"schedule", std::string("wsd"), ""},
            Setting{"decay_share", 0.55, ""}, Setting{"warmup_steps", Int{200}, ""}};
  }
};

const bool kRegistered = register_recipe(std::make_unique<DistractorsRecipe>());

}  // namespace
}  // namespace maskgrad::apps
