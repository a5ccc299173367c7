#include "recipes/distractors/distractors_model.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include <maskgrad/layers/generate/sample.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/formats/utf8.hpp>

#include "recipes/check_is_below.hpp"
#include "recipes/distractors/kept_counts.hpp"
#include "recipes/distractors/kept_tokens.hpp"
#include "recipes/distractors/pattern_information.hpp"
#include "recipes/distractors/selective_run.hpp"
#include "recipes/without_blanks.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "distractors";
constexpr double kTableDecay = 0.1;
constexpr std::int64_t kExamined = 4000, kExaminedAtOnce = 200;
constexpr std::uint64_t kExaminedSeed = 0x6578616d;  // any that is no run's

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

// The median time of a step forward and backward, in microseconds.
template <class Step>
double median_time(Step step) {
  constexpr int kRuns = 15;
  std::vector<double> times;
  for (int i = 0; i < kRuns + 2; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    step();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
    if (i >= 2) times.push_back(time.count());
  }
  std::ranges::nth_element(times, times.begin() + kRuns / 2);
  return times[kRuns / 2];
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
    const auto part = [](const char* name, const char* prefix, double lr_factor, double decay) {
      return ParameterGroup{
          .name = name,
          .owns = [prefix](std::string_view parameter,
                           const Shape&) { return parameter.starts_with(prefix); },
          .lr_factor = lr_factor,
          .weight_decay = decay,
          .rests = true};
    };
    const bool draws = sampler_ != "soft" && sampler_ != "straight-through";
    return {part("selector", "selector", draws ? 0.03 : 0.02, 0),
            part("steps", "predictor.steps", 1, kTableDecay),
            part("answer", "predictor.answer", 1, kTableDecay),
            part("predictor", "predictor", 1, 0)};
  }
  std::int64_t best_from() const override { return run_.hard_from(); }
  Abilities abilities() const override { return {.is_examined = true, .is_examined_at_end = true}; }

  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    return run_.evaluate(batch, pass);
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

  std::string sample_text() const override { return "x=-3,y=4:y-x|12+y"; }

  Prediction predict(const std::string& text, const PredictOptions&) override {
    const NoGrad no_grad;
    const Batch batch = collate_distractors(std::vector{sample_of(without_blanks(text))});
    const SequenceMask mask = run_.mask_of(batch);
    Pass pass;
    const Tensor logits = run_.answer(batch, mask, pass).value();
    const std::int64_t classes = logits.dim(2);
    std::string answer;
    double probability = 1;
    for (std::int64_t i = 0; i < Distractors::kAnswer; ++i) {
      const std::vector<double> of = probabilities(logits.view(i * classes, {classes}), {});
      const std::int64_t token = std::ranges::max_element(of) - of.begin();
      answer += arithmetic_text({&token, 1});
      probability *= of[static_cast<std::size_t>(token)];
    }
    return {.answers = {{number_in(answer), probability}}, .steps = kept_text(batch, mask)};
  }

  std::optional<Examination> examine(const ExamineOptions& options) override {
    DistractorData of = data_;
    of.samples = options.samples > 0 ? options.samples : kExamined;
    of.seed = kExaminedSeed;
    of.held_out = true;
    const Distractors data(of);
    Figures figures;
    for (std::int64_t first = 0; first < data.size(); first += kExaminedAtOnce) {
      std::vector<std::int64_t> ids;
      for (std::int64_t i = first; i < std::min(first + kExaminedAtOnce, data.size()); ++i) {
        ids.push_back(i);
      }
      add(data.collate(ids), figures);
      if (options.on_progress) options.on_progress(first + std::ssize(ids), data.size());
    }
    time_steps(data, figures);
    return examination_of(figures, data.size());
  }

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
  struct Figures {
    Metric accuracy{"accuracy"}, accuracy_oracle{"accuracy_oracle"};
    KeptCounts kept;
    PatternInformation pattern;
    double us_hard = 0, us_full = 0;
  };

  void add(const Batch& batch, Figures& figures) {
    const NoGrad no_grad;
    const auto accuracy = [&](const SequenceMask& mask) {
      Pass pass;
      const Variable answer = run_.answer(batch, mask, pass);
      return to_metric("accuracy", ops::sequence_accuracy(answer, batch.targets));
    };
    const SequenceMask mask = run_.mask_of(batch);
    figures.accuracy += accuracy(mask);
    figures.accuracy_oracle += accuracy(oracle_mask(batch));
    add_patterns(batch, mask, figures.pattern);
    const KeptCounts counts = kept_counts(batch, mask);
    figures.kept.junk_dropped += counts.junk_dropped;
    figures.kept.needed_kept += counts.needed_kept;
    figures.kept.kept += counts.kept;
  }

  // Which tokens of each problem are kept, and the answer.
  static void add_patterns(const Batch& batch, const SequenceMask& mask,
                           PatternInformation& information) {
    const Tensor uses = batch["use"];
    const std::int64_t length = batch.inputs.dim(1);
    for (std::int64_t b = 0; b < batch.inputs.dim(0); ++b) {
      std::string pattern;
      for (std::int64_t i = b * length; i < (b + 1) * length; ++i) {
        const auto use = static_cast<TokenUse>(uses.data<std::int64_t>()[i]);
        if (use != TokenUse::kNeeded && use != TokenUse::kSpare) continue;
        pattern += mask.bits().data<bool>()[i] ? '1' : '0';
      }
      const std::int64_t* const answer =
          batch.targets.data<std::int64_t>() + b * batch.targets.dim(1);
      information.add(pattern, 10'000 * answer[0] + 100 * answer[1] + answer[2]);
    }
  }

  // Of the predictor in training, with the mask and without.
  void time_steps(const Distractors& data, Figures& figures) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < std::min(batch_size_, data.size()); ++i) ids.push_back(i);
    const Batch batch = data.collate(ids);
    const SequenceMask own = run_.mask_of(batch),
                       all = SequenceMask::from_tokens(batch.inputs, kPadToken);
    const auto step = [&](const SequenceMask& mask) {
      Tape tape;
      Pass pass = Pass::training(0, 0);
      tape.backward(ops::cross_entropy(run_.answer(batch, mask, pass), batch.targets).sum);
    };
    figures.us_hard = median_time([&] { step(own); });
    figures.us_full = median_time([&] { step(all); });
  }

  Examination examination_of(const Figures& f, std::int64_t count) const {
    Examination examination{.count = count};
    examination.shares = {{"accuracy", f.accuracy.mean()},
                          {"accuracy_oracle", f.accuracy_oracle.mean()},
                          {"junk_dropped", f.kept.junk_dropped.mean()},
                          {"needed_kept", f.kept.needed_kept.mean()},
                          {"kept", f.kept.kept.mean()},
                          {"pattern_bits", f.pattern.bits()},
                          {"us_per_step_hard", f.us_hard},
                          {"us_per_step_full", f.us_full}};
    const auto percent = [](const Metric& m) { return fmt::format("{:.2f} %", 100 * m.mean()); };
    examination.table = {{"sampler", "accuracy", "with oracle", "junk dropped", "needed kept",
                          "kept", "pattern", "us a step", "without mask"},
                         {sampler_, percent(f.accuracy), percent(f.accuracy_oracle),
                          percent(f.kept.junk_dropped), percent(f.kept.needed_kept),
                          percent(f.kept.kept), fmt::format("{:.3f} bits", f.pattern.bits()),
                          fmt::format("{:.0f}", f.us_hard), fmt::format("{:.0f}", f.us_full)}};
    return examination;
  }

  // "x=-3,y=4:y-x", with or without junk behind `|`.
  Distractors::Sample sample_of(const std::string& text) const {
    const std::size_t bar = text.find('|');
    Distractors::Sample sample;
    sample.problem = parse_problem(text.substr(0, bar));
    check_is_below(sample.problem, 10, kName, /*is_setting=*/false);
    check(sample.problem.x != 0 && sample.problem.y != 0, kName,
          "the model was trained on numbers that are not 0");
    if (bar != std::string::npos) sample.junk = arithmetic_tokens(text.substr(bar + 1));
    check(std::ssize(sample.junk) <= data_.most_junk, kName,
          "{} tokens stand behind the problem, at most {} fit", sample.junk.size(),
          data_.most_junk);
    return sample;
  }

  static std::string number_in(const std::string& answer) {
    const bool is_one =
        (answer[0] == '+' || answer[0] == '-') &&
        std::ranges::all_of(answer.substr(1), [](char c) { return c >= '0' && c <= '9'; });
    check(is_one, kName, "the model writes no answer: {}", quote(answer));
    return std::to_string(std::stoi(answer));
  }

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
