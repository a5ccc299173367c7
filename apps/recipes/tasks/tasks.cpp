// Three tasks on the same operands: which of them it is, nobody says.
#include "recipes/phase_settings.hpp"
#include "recipes/tasks/tasks_model.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "tasks";

class TasksRecipe : public Recipe {
 public:
  std::string name() const override { return kName; }
  std::string summary() const override {
    return "Three tasks on the same operands: a choice learns which expert is for which";
  }
  std::string example() const override { return "--choice gate --seed 1"; }

  std::vector<Setting> settings() const override {
    using Int = std::int64_t;
    std::vector<Setting> own = training();
    const std::vector<Setting> further = {
        Setting{"choice", std::string("gate"),
                "what chooses the expert; shared: nothing, one network of the same size answers"}
            .one_of({"gate", "query", "shared"}),
        Setting{"task_from", std::string("operator"),
                "what of an input tells the task: its operator, or two worked examples"}
            .one_of({"operator", "examples"}),
        Setting{"experts_see", std::string("operands"),
                "what experts read: the operands, or also what tells the task"}
            .one_of({"operands", "all"}),
        weight("balance", 0.05, "of how much the choice tells of the input"),
        weight("evenness", 3, "of how evenly the experts are used"),
        share_setting("drops", 0.5, "of the tokens that the choice does not see at first"),
        share_setting("warm_up", 0.15, "of the steps, the first: each expert learns all tasks"),
        share_setting("alone", 0.5, "of the steps, the last: only the chosen expert learns"),
        Setting{"samples", Int{16'000}, "problems of an epoch; each epoch draws new ones"}
            .at_least(1)
            .at_most(100'000'000),
        Setting{"most_lead", Int{0}, "the most separators before a problem"}.at_least(0).at_most(
            100),
        size_setting("features", 16, "of each token in an expert"),
        size_setting("hidden", 128, "features of each of an expert's two hidden layers"),
        size_setting("gate_features", 32, "of each token in what chooses"),
        size_setting("heads", 4, "of the attention of what chooses"),
        Setting{"gate_layers", Int{0}, "blocks of an encoder in front of the choice"}
            .at_least(0)
            .at_most(100)};
    own.insert(own.end(), further.begin(), further.end());
    return recipe_settings(name(), own, data_source());
  }

  void check_settings(const Settings& settings) const override {
    const std::int64_t features = settings.integer("gate_features"),
                       heads = settings.integer("heads");
    check(features % heads == 0, kName,
          "--heads must cut the features of the gate into equal parts, and {} does not cut {} so",
          heads, features);
    if (settings.text("choice") == "shared") return;
    constexpr const char* kPhases[] = {"warm_up", "alone"};
    check_phases(settings, kPhases, kName);
    // What a choice tells of its input, and how even it is, are those of a whole batch.
    check_whole_batches(settings, kName);
  }

  DataSource data_source() const override { return DataSource::kDrawn; }
  bool holds_out(const Settings&) const override { return true; }

  std::unique_ptr<Dataset> load_data(const Settings& settings, const std::filesystem::path&,
                                     DataPart part) const override {
    constexpr std::int64_t kValidation = 1000;
    OperatorTaskData data = operator_task_data(settings);
    data.held_out = part != DataPart::kTraining;
    if (data.held_out) data.samples = kValidation;
    return std::make_unique<OperatorTasks>(data);
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return make_tasks_model(settings);
  }

 private:
  static Setting weight(const char* key, double value, const char* help) {
    return Setting{key, value, fmt::format("weight {}, in the loss", help)}.at_least(0).at_most(
        100);
  }
  // Defaults of what every recipe has.
  static std::vector<Setting> training() {
    using Int = std::int64_t;
    return {Setting{"epochs", Int{0}, ""},
            steps_setting(6000),
            Setting{"threads", Int{0}, ""},
            Setting{"batch_size", Int{64}, ""},
            Setting{"shuffle", false, ""},
            Setting{"optimizer", std::string("adamw"), ""},
            Setting{"lr", 4e-3, ""},
            Setting{"weight_decay", 0.3, ""},
            Setting{"beta2", 0.98, ""},
            Setting{"clip_norm", 1.0, ""},
            Setting{"schedule", std::string("wsd"), ""},
            Setting{"decay_share", 0.25, ""},
            Setting{"warmup_steps", Int{100}, ""}};
  }
};

const bool kRegistered = register_recipe(std::make_unique<TasksRecipe>());

}  // namespace
}  // namespace maskgrad::apps
