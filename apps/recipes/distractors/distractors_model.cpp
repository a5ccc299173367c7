#include "recipes/distractors/distractors_model.hpp"

#include <algorithm>
#include <numeric>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/arithmetic.hpp>

#include "recipes/check_is_below.hpp"
#include "recipes/distractors/kept_tokens.hpp"
#include "recipes/distractors/mask_figures.hpp"
#include "recipes/without_blanks.hpp"
#include "recipes/written_number.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "distractors";
constexpr double kTableDecay = 0.2;
constexpr std::int64_t kExamined = 4000, kExaminedAtOnce = 200;

SelectiveOptions options_of(const Settings& settings) {
  const std::int64_t length = Distractors(distractor_data(settings)).length();
  return {.sampler = settings.text("sampler"),
          .scorer = settings.text("scorer") == "class" ? Scorer::kClass : Scorer::kContent,
          .price = price_from_string(settings.text("price")),
          .cost = settings.real("cost"),
          .predictor = {length, settings.integer("features"), settings.integer("layers"),
                        settings.integer("heads")},
          .selector = {length, settings.integer("selector_features"),
                       settings.integer("selector_layers"), settings.integer("heads")},
          .steps = settings.integer("steps"),
          .warm_up = settings.real("warm_up"),
          .calibrate = settings.real("calibrate"),
          .select = settings.real("select")};
}

class DistractorsModel : public RecipeModel {
 public:
  explicit DistractorsModel(const Settings& settings)
      : data_(distractor_data(settings)),
        batch_size_(settings.integer("batch_size")),
        sampler_(settings.text("sampler")),
        run_(options_of(settings)) {}

  Module& module() override { return run_; }
  // While one of the two learns from the other, the other stands still. The mask learns at a lower
  // rate: its logits move together, and one that draws nothing must not lose all tokens at once.
  // What the tables learn must hold for other pairs, too, so their weights decay.
  std::vector<ParameterGroup> parameter_groups() const override {
    constexpr double kSelectorRate = 0.04, kPredictorRate = 0.4;
    const auto part = [](const char* name, const char* prefix, double lr_factor, double decay) {
      return ParameterGroup{
          .name = name,
          .owns = [prefix](std::string_view parameter,
                           const Shape&) { return parameter.starts_with(prefix); },
          .lr_factor = lr_factor,
          .weight_decay = decay,
          .rests = true};
    };
    return {part("selector", "selector", kSelectorRate, 0),
            part("steps", "predictor.steps", 1, kTableDecay),
            part("answer", "predictor.answer", 1, kTableDecay),
            part("predictor", "predictor", kPredictorRate, 0)};
  }
  std::int64_t best_from() const override { return run_.hard_from(); }
  Abilities abilities() const override { return {.is_examined = true, .is_examined_at_end = true}; }

  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    return run_.evaluate(batch, pass);
  }

  ModelOutput evaluate_whole(const Batch& batch, Pass& pass) override {
    return run_.evaluate_whole(batch, pass);
  }

  std::vector<LayerSummary> summarize(const Batch& batch) override {
    std::vector<LayerSummary> rows;
    const auto add = [&](const char* name, const char* kind, const Shape& output, MaskRule rule) {
      std::int64_t count = 0;
      for (const NamedParameter& p : run_.parameters()) {
        if (p.name.starts_with(name)) count += p.parameter->shape().numel();
      }
      rows.push_back({name, kind, output, count, rule});
    };
    if (run_.has_selector()) {
      add("selector", "Selector", batch.inputs.shape(), MaskRule::kMakes);
    }
    add("predictor", "Predictor", batch.targets.shape(), MaskRule::kEnds);
    return rows;
  }

  Reading read(const std::string& text) override {
    Reading reading = {.prediction = predict(text, {})};
    const Batch batch = collate_distractors(std::vector{sample_of(without_blanks(text))});
    const NoGrad no_grad;
    const SequenceMask mask = run_.mask_of(batch);
    reading.batch = batch;
    reading.labels = labels_of(batch);
    reading.exists = mask;
    reading.dropped = batch.inputs.numel() - mask.kept();
    reading.given = batch.inputs.numel();
    reading.answers_are = "answer";
    reading.run = [this, batch, mask](Pass& pass) { run_.answer(batch, mask, pass); };
    return reading;
  }

  std::string sample_text() const override {
    const std::string junk = "12+y";
    return "x=-3,y=4:y-x|" + junk.substr(0, static_cast<std::size_t>(data_.most_junk));
  }

  Prediction predict(const std::string& text, const PredictOptions&) override {
    const NoGrad no_grad;
    const Batch batch = collate_distractors(std::vector{sample_of(without_blanks(text))});
    const SequenceMask mask = run_.mask_of(batch);
    Pass pass;
    const Tensor logits = run_.answer(batch, mask, pass).value();
    const auto at_once = [&](std::span<const std::int64_t>) { return logits; };
    return {.answers = {write_number(Distractors::kAnswer, at_once)},
            .steps = kept_text(batch, mask),
            .steps_are = makes_mask() ? "the mask keeps" : "the model reads"};
  }

  std::optional<Examination> examine(const ExamineOptions& options) override {
    DistractorData of = data_;
    of.samples = options.samples > 0 ? options.samples : kExamined;
    of.seed = kExaminedSeed;
    of.held_out = true;
    const Distractors data(of);
    MaskFigures figures;
    for (std::int64_t first = 0; first < data.size(); first += kExaminedAtOnce) {
      std::vector<std::int64_t> ids;
      for (std::int64_t i = first; i < std::min(first + kExaminedAtOnce, data.size()); ++i) {
        ids.push_back(i);
      }
      figures.add(data.collate(ids), run_);
      if (options.on_progress) options.on_progress(first + std::ssize(ids), data.size());
    }
    std::vector<std::int64_t> ids(static_cast<std::size_t>(std::min(batch_size_, data.size())));
    std::iota(ids.begin(), ids.end(), std::int64_t{0});
    figures.time(data.collate(ids), run_, makes_mask());
    run_.observe_end(figures.undecided(), figures.hardening());
    return figures.examination(sampler_, data.size());
  }

  std::vector<std::string> warnings() const override { return run_.warnings(); }
  std::string counts() const override { return run_.counts(); }
  void restore(const std::string& counts) override { run_.restore(counts); }

  std::vector<std::vector<ReportToken>> kept_inputs() override {
    constexpr std::int64_t kInputs = 8;
    DistractorData of = data_;
    of.samples = kInputs;
    of.seed = kExaminedSeed;
    of.held_out = true;
    std::vector<std::int64_t> ids(kInputs);
    std::iota(ids.begin(), ids.end(), std::int64_t{0});
    const Batch batch = Distractors(of).collate(ids);
    const NoGrad no_grad;
    const SequenceMask mask = run_.mask_of(batch);
    std::vector<std::vector<ReportToken>> inputs;
    for (std::int64_t b = 0; b < kInputs; ++b) inputs.push_back(kept_tokens(batch, mask, b));
    return inputs;
  }

 private:
  // "x=-3,y=4:y-x", with or without junk behind `|`. Separators in front say nothing.
  Distractors::Sample sample_of(const std::string& line) const {
    const std::string text = line.substr(std::min(line.find_first_not_of('|'), line.size()));
    const std::size_t bar = text.find('|');
    Distractors::Sample sample;
    sample.problem = parse_problem(text.substr(0, bar));
    check_is_below(sample.problem, 10, kName, /*is_setting=*/false);
    check(sample.problem.x != 0 && sample.problem.y != 0, kName,
          "the model was trained on numbers that are not 0");
    if (bar != std::string::npos) sample.junk = arithmetic_tokens(text.substr(bar + 1));
    check(std::ssize(sample.junk) <= data_.most_junk, kName,
          "the model was trained with at most {} behind a problem, and here stand {}",
          count_of(data_.most_junk, "token"), sample.junk.size());
    return sample;
  }

  bool makes_mask() const { return sampler_ != "none"; }

  DistractorData data_;
  std::int64_t batch_size_;
  std::string sampler_;
  SelectiveRun run_;
};

}  // namespace

DistractorData distractor_data(const Settings& settings) {
  return {.samples = settings.integer("samples"),
          .most_junk = settings.integer("most_junk"),
          .most_lead = settings.integer("most_lead"),
          .seed = settings.seed()};
}

std::unique_ptr<RecipeModel> make_distractors_model(const Settings& settings) {
  return std::make_unique<DistractorsModel>(settings);
}

}  // namespace maskgrad::apps
