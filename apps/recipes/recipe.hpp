// A recipe: data, model and defaults of one experiment, for the command line to train.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <maskgrad/layers/generate/generate.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/train/report/report.hpp>
#include <maskgrad/train/settings.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad::apps {

/// A possible answer, and how probable the model holds it.
struct Answer {
  std::string text;
  double probability = 0;
};

/// What a model answers to a line of text.
struct Prediction {
  std::vector<Answer> answers;  // the most probable first; one at least
  std::string steps = {};       // what the model wrote on the way; empty where it writes nothing
  std::string steps_are = "the model writes";  // who made them, and how: "the gate chooses"
};

/// A question for predict(), and the right answer.
struct Question {
  std::string text;
  std::string answer;
};

struct PredictOptions {
  /// Hears of the steps as they are written, piece by piece.
  std::function<void(std::string_view piece)> on_steps = {};
  /// Whether probabilities will be read. Otherwise they may be 0, and there may be one answer only.
  bool probabilities = false;
};

/// Figures on how good the answers are, beside loss and metrics.
struct Examination {
  /// Rows of a table, the first of them its heading.
  std::vector<std::vector<std::string>> table = {};
  /// The same in short, for a program to read: how many questions there were, and the shares of
  /// right answers by name.
  std::int64_t count = 0;
  std::vector<std::pair<std::string, double>> shares = {};
  /// Rows of a table, the first of them its heading: what was chosen for which questions.
  std::vector<std::vector<std::string>> choices = {};
  /// Lines about some of the wrong answers.
  std::vector<std::string> mistakes = {};
};

/// Seed of the questions of an examination. Where pairs are held out, no run is trained on them.
inline constexpr std::uint64_t kExaminedSeed = 0x6578616d;

struct ExamineOptions {
  std::int64_t samples = 0;  // the most; 0: as many as are needed
  std::function<void(std::int64_t done, std::int64_t all)> on_progress = {};
};

/// A causal language model, tokens for it, and what it is trained to say of them: what a proof of
/// causality takes.
struct CausalModel {
  LanguageModel model;
  Variable tokens;
  Tensor targets;
  SequenceMask counted = {};  // the positions whose targets count; undefined: all that exist
};

/// A line of text as a model reads it, what it answers, and how to run it over the whole.
struct Reading {
  std::vector<std::string> labels = {};  // the tokens, each as text of one line
  SequenceMask exists = {};              // [1, S]; undefined: all exist
  std::int64_t dropped = 0;              // of those that do not exist: by a mask that was learned
  std::int64_t given = 0;                // tokens of the text; the model wrote those behind them
  std::int64_t unread = 0;               // tokens of the text before these, beyond what it reads
  std::int64_t position = 0;             // the one whose attention tells most about the answer
  std::string position_does = {};        // why: "writes the first character of the answer"
  Prediction prediction = {};
  std::string answers_are = {};              // what the answers are: "next byte"
  Batch batch = {};                          // the tokens, as attention_masks() takes them
  std::function<void(Pass& pass)> run = {};  // the model over all tokens in one pass
};

/// What the command line may ask of a model beside the answers of predict().
struct Abilities {
  bool writes_steps = false;        // on its way to an answer, see PredictOptions::on_steps
  bool writes_texts = false;        // write_on()
  bool is_examined = false;         // examine()
  bool is_examined_at_end = false;  // examine() when a run ends, into its results.json, too
  bool takes_padding = false;       // pad()
};

/// A recipe's model, made for certain settings.
class RecipeModel {
 public:
  virtual ~RecipeModel() = default;

  virtual Module& module() = 0;
  /// Groups of its parameters that are trained otherwise than the settings say, see RunParts.
  virtual std::vector<ParameterGroup> parameter_groups() const { return {}; }
  /// The step from which validations say which weights are best, and patience counts. Before it the
  /// loss measures something else, or the run has a phase still to come.
  virtual std::int64_t best_from() const { return 0; }
  virtual Abilities abilities() const { return {}; }
  /// Loss and metrics of a batch; what the trainer trains.
  virtual ModelOutput evaluate(const Batch& batch, Pass& pass) = 0;
  /// A loss that every parameter has a part in, for maskgrad check: that of inference where it does
  /// not say otherwise. What learns in a phase of its own, or for some samples, is checked by it.
  virtual ModelOutput evaluate_whole(const Batch& batch, Pass& pass) {
    return evaluate(batch, pass);
  }
  /// The table of layers, for the shapes of `batch`.
  virtual std::vector<LayerSummary> summarize(const Batch& batch) = 0;
  /// What packing makes of a batch, and why, a line for each part of the model; empty when its
  /// settings ask for none.
  virtual std::vector<std::string> explain_packing(const Batch& batch);
  /// The masks of pairs that its attention has on the first sample of a batch, for the report.
  virtual std::vector<ReportMask> attention_masks(const Batch& batch);
  /// The model with the tokens of a batch; nothing where it is no language model.
  virtual std::optional<CausalModel> causal_model(const Batch& batch);
  /// The model's answer to one line of text. Throws Error for a text it cannot read, and where the
  /// model has no answer.
  virtual Prediction predict(const std::string& text, const PredictOptions& options) = 0;
  /// What it reads of a line of text, for maskgrad explain. Throws Error as predict(), and where
  /// the recipe does not tell.
  virtual Reading read(const std::string& text);
  /// A few inputs that it was not trained on, and what its learned mask keeps of each, for the
  /// report; none where it learns no mask.
  virtual std::vector<std::vector<ReportToken>> kept_inputs();
  /// A line of text to show the model with; empty: none.
  virtual std::string sample_text() const { return {}; }
  /// Goes on with a text, as the options say but for `stop` and `on_token`. `on_text` hears of what
  /// is written, piece by piece, and ends it by returning false. Throws Error where the model
  /// answers questions and writes no texts.
  virtual void write_on(std::string_view text, GenerateOptions options,
                        const std::function<bool(std::string_view piece)>& on_text);
  /// From now on every sample has so many positions of padding more behind it. Throws Error for a
  /// number below 0, and where the model takes no padding.
  virtual void pad(std::int64_t positions);
  /// Signs that the training it has had went wrong, such as a gate that collapsed: a line each,
  /// with the knob to turn. Asked when a run has ended, behind examine().
  virtual std::vector<std::string> warnings() const { return {}; }
  /// What it counted over the steps for these, as RunParts wants it; empty where it counts nothing.
  virtual std::string counts() const { return {}; }
  /// Throws Error for a text that counts() does not give.
  virtual void restore(const std::string& counts) { static_cast<void>(counts); }
  /// How good its answers are to questions that it was not trained on; nothing where the recipe has
  /// none.
  virtual std::optional<Examination> examine(const ExamineOptions& options);
};

/// Where a recipe's data come from.
enum class DataSource {
  kFolder,  // a folder: the setting `data`, or one in the run that write_data() fills
  kGiven,   // a file or a folder: the setting `data`, which must name one
  kDrawn,   // drawn as they are needed, by the settings alone: it has no settings `data` and `val`
};

/// Which of the data: what a run is trained on, as the settings limit it; what the recipe keeps
/// from training; or all.
enum class DataPart { kTraining, kHeldOut, kAll };

/// One experiment.
class Recipe {
 public:
  virtual ~Recipe() = default;

  virtual std::string name() const = 0;
  /// One line for the help.
  virtual std::string summary() const = 0;
  /// Flags for the example in its help.
  virtual std::string example() const { return "--epochs 2 --seed 1"; }
  /// Its settings, defaults included.
  virtual std::vector<Setting> settings() const = 0;
  /// Throws Error for settings that contradict each other.
  virtual void check_settings(const Settings& settings) const { static_cast<void>(settings); }
  virtual DataSource data_source() const { return DataSource::kFolder; }
  /// Whether it keeps a part of its data from training. A run is validated on that part, unless
  /// `val` names other data.
  virtual bool holds_out(const Settings& settings) const {
    static_cast<void>(settings);
    return false;
  }
  /// Writes training data of its own. For kFolder.
  virtual void write_data(const Settings& settings, const std::filesystem::path& folder) const;
  /// Reads a data folder. For kDrawn the folder means nothing, and kAll is kHeldOut.
  virtual std::unique_ptr<Dataset> load_data(const Settings& settings,
                                             const std::filesystem::path& folder,
                                             DataPart part) const = 0;
  /// What a person should know of the data that load_data() reads, a line each.
  virtual std::vector<std::string> explain_data(const Settings& settings,
                                                const std::filesystem::path& folder) const;
  virtual std::unique_ptr<RecipeModel> make_model(const Settings& settings) const = 0;
  /// Published curves to draw beside a run of these settings, an epoch of which has so many steps.
  /// None for a run that is another experiment than the published one.
  virtual std::vector<ReferenceCurve> references(const Settings& settings,
                                                 std::int64_t steps_in_epoch) const;
  /// A few questions for the report of a run of these settings. Its training did not ask them, but
  /// by chance.
  virtual std::vector<Question> questions(const Settings& settings) const;
};

/// Adds a recipe; called where the program starts:
///   const bool kRegistered = register_recipe(std::make_unique<BlogRecipe>());
/// Returns true. Throws Error when its name is taken.
bool register_recipe(std::unique_ptr<Recipe> recipe);
/// All recipes, in the order of their names.
const std::vector<std::unique_ptr<Recipe>>& recipes();
/// The recipe of that name; null where there is none.
const Recipe* find_recipe(const std::string& name);

/// training_settings() and what the command line shows; the recipe's own defaults and further
/// settings are merged in. Without `data` and `val` for a recipe that draws its data.
std::vector<Setting> recipe_settings(const std::string& recipe, std::vector<Setting> own,
                                     DataSource source = DataSource::kFolder);

/// The setting `pack`, for a recipe whose model can run on packed rows: when it does.
Setting pack_setting(std::string when = "never");

}  // namespace maskgrad::apps
