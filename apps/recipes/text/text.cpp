// A language model of any text: reads bytes and tells the next one. Embedding, pre-norm decoder
// blocks with rotary positions, logits of 256 bytes and of the end of a document.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <utility>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/generate/generate_in_windows.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/report/explained_input.hpp>
#include <maskgrad/train/run/run_settings.hpp>

#include "recipes/causal_recipe.hpp"
#include "recipes/text/text_data.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "text";

// A token on one line.
std::string label_of(std::int64_t token) {
  if (token == kDocumentToken) return "end";
  if (token > 0x20 && token < 0x7f) return std::string(1, static_cast<char>(token));
  return token == ' ' ? "space" : fmt::format("\\x{:02x}", token);
}

class TextModel : public CausalRecipeModel {
 public:
  explicit TextModel(const Settings& settings)
      : CausalRecipeModel(kTextPadding), context_(settings.integer("context")) {
    const std::int64_t features = settings.integer("features");
    TransformerOptions options = decoder_options(settings);
    options.rotary = ops::RotaryOptions();
    layers()
        .add<Embed>("embed", kTextVocabulary, features)
        .add<Decoder>("decoder", options)
        .add<Dense>("logits", features, kTextVocabulary)
        .pack(pack_when_from_string(settings.text("pack")));
  }

  // The loss is in nats for each token, the metric in bits for each byte: it counts what the ends
  // of documents cost, too, and is what the size of a compressed file would be.
  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    const ops::SumCount loss = ops::cross_entropy(layers()(tokens_of(batch), pass), batch.targets);
    const auto targets = batch.targets.values<std::int64_t>();
    const std::int64_t bytes = std::ranges::count_if(
        targets, [](std::int64_t token) { return token >= 0 && token != kDocumentToken; });
    const NoGrad no_grad;
    const Variable bits = ops::scale(loss.sum, 1 / std::numbers::ln2);
    return {loss, {{"bits_per_byte", bits.value(), bytes}}};
  }

  Abilities abilities() const override { return {.writes_texts = true}; }

  std::optional<CausalModel> causal_model(const Batch& batch) override {
    return CausalModel{language_model(), tokens_of(batch), batch.targets};
  }

  // The bytes that may come next.
  Prediction predict(const std::string& text, const PredictOptions&) override {
    constexpr std::size_t kMost = 10;
    const Tensor logits = logits_of(tokens_before(text));
    const std::vector<double> p =
        probabilities(logits.view((logits.dim(0) - 1) * kTextVocabulary, {kTextVocabulary}), {});
    Prediction next;
    for (std::size_t token = 0; token < p.size(); ++token) {
      next.answers.push_back({label_of(static_cast<std::int64_t>(token)), p[token]});
    }
    std::ranges::stable_sort(next.answers, std::ranges::greater(), &Answer::probability);
    next.answers.resize(kMost);
    return next;
  }

  Reading read(const std::string& text) override {
    Prediction prediction = predict(text, {});
    const Tokens tokens = tokens_before(text);
    Reading reading = reading_of(tokens, std::ssize(tokens));
    reading.unread = std::max<std::int64_t>(0, std::ssize(text) - std::ssize(tokens));
    reading.prediction = std::move(prediction);
    reading.position_does = "tells the next byte";
    reading.answers_are = "next byte";
    return reading;
  }

  std::string sample_text() const override { return "A mask"; }

  void write_on(std::string_view text, GenerateOptions options,
                const std::function<bool(std::string_view)>& on_text) override {
    options.stop = {kDocumentToken};
    options.on_token = [&](std::size_t, std::int64_t token) {
      const char byte = static_cast<char>(token);
      return token == kDocumentToken || on_text({&byte, 1});
    };
    generate_in_windows(language_model(), text_tokens(text), context_, options);
  }

 private:
  std::string label(std::int64_t token) const override { return label_of(token); }
  // Between documents stands one token, which is before the first one, too.
  std::string first_label(std::int64_t token) const override {
    return token == kDocumentToken ? kStartLabel : label_of(token);
  }

  // As many as the model reads.
  Tokens tokens_before(const std::string& text) const {
    Tokens tokens = text_tokens(text);
    if (std::ssize(tokens) > context_) tokens.erase(tokens.begin(), tokens.end() - context_);
    return tokens;
  }

  std::int64_t context_;
};

class TextRecipe : public Recipe {
 public:
  std::string name() const override { return kName; }
  std::string summary() const override {
    return "A language model of any text, byte by byte: --data names a file or a folder";
  }

  std::string example() const override { return "--data docs --minutes 3"; }

  std::vector<Setting> settings() const override {
    using Int = std::int64_t;
    const std::vector<Setting> own = {
        Setting{"data", std::string(), "a text file, or a folder of text files"},
        Setting{"val", std::string(),
                "text to validate on, all of it: a file or a folder; empty: what is held out"},
        Setting{"val_share", 0.1,
                "share of the bytes to hold out from training, in whole documents; with val, only "
                "eval reads what is held out"}
            .at_least(1e-9)
            .at_most(0.9),
        Setting{"val_samples", Int{500},
                "how many samples of what is held out to validate on, at most; 0: all"}
            .at_least(0)
            .without_effect(),
        Setting{"context", Int{128}, "how many tokens the model reads at once, at most"}
            .at_least(1)
            .at_most(1 << 20)};
    return causal_settings(name(), training(), own,
                           {.features = 128, .layers = 3, .heads = 4, .dropout = 0.1});
  }

  void check_settings(const Settings& settings) const override {
    check_heads(name(), settings, HeadWidth::kEven);
    check(!settings.text("data").empty(), kName, "--data must name a file or a folder of text");
    check_places(settings);
  }

  DataSource data_source() const override { return DataSource::kGiven; }

  bool holds_out(const Settings&) const override { return true; }

  std::unique_ptr<Dataset> load_data(const Settings& settings, const std::filesystem::path& path,
                                     DataPart part) const override {
    return data_of(path)->pieces(part, options_of(settings));
  }

  std::vector<std::string> explain_data(const Settings& settings,
                                        const std::filesystem::path& path) const override {
    return data_of(path)->explain(options_of(settings));
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return std::make_unique<TextModel>(settings);
  }

 private:
  // Read once, so that both parts are of the same documents, and a run is of the text as it was at
  // its beginning. Files that change later are not read anew while the program runs.
  std::shared_ptr<const TextData> data_of(const std::filesystem::path& path) const {
    if (!data_ || path != path_) {
      data_ = std::make_shared<TextData>(path);
      path_ = path;
    }
    return data_;
  }

  static TextDataOptions options_of(const Settings& settings) {
    return {.context = settings.integer("context"),
            .batch_size = settings.integer("batch_size"),
            .val_share = settings.real("val_share"),
            .val_samples = settings.integer("val_samples"),
            .val = settings.text("val")};
  }

  // What a run writes must not be read as its text.
  void check_places(const Settings& settings) const {
    const std::filesystem::path out = run_folder(name(), settings);
    const std::string& step_log = settings.text("step_log");
    for (const char* key : {"data", "val"}) {
      const std::string& text = settings.text(key);
      if (text.empty()) continue;
      check(path_within(out, text).empty(), kName,
            "the run folder '{}' stands within --{} '{}', and its own files would be read as text: "
            "--out names another",
            out.string(), key, text);
      check(step_log.empty() || path_within(step_log, text).empty(), kName,
            "--step-log '{}' stands within --{} '{}', and would be read as text: name another file",
            step_log, key, text);
    }
  }

  // Defaults of what every recipe has.
  static std::vector<Setting> training() {
    using Int = std::int64_t;
    return {Setting{"epochs", Int{0},
                    "passes over the data, at least 50 steps each: a small text is read several "
                    "times; 0: no limit"},
            Setting{"minutes", 5.0, ""},
            Setting{"batch_size", Int{16}, ""},
            Setting{"shuffle", true, ""},
            Setting{"optimizer", std::string("adamw"), ""},
            Setting{"lr", 1e-3, ""},
            Setting{"beta2", 0.99, ""},
            Setting{"weight_decay", 0.1, ""},
            Setting{"schedule", std::string("wsd"), ""},
            Setting{"decay_share", 0.3, ""},
            Setting{"threads", Int{0}, ""},
            Setting{"warmup_steps", Int{100}, ""},
            Setting{"val_every", Int{250}, ""},
            Setting{"clip_norm", 1.0, ""}};
  }

  mutable std::shared_ptr<const TextData> data_;
  mutable std::filesystem::path path_;
};

const bool kRegistered = register_recipe(std::make_unique<TextRecipe>());

}  // namespace
}  // namespace maskgrad::apps
