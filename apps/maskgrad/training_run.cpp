#include "training_run.hpp"

#include <chrono>
#include <cstdlib>
#include <numeric>

#include <unistd.h>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/adam.hpp>
#include <maskgrad/train/atomic_file.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/progress.hpp>
#include <maskgrad/train/run_logs.hpp>
#include <maskgrad/train/sgd.hpp>
#include <maskgrad/train/tensor_file.hpp>
#include <maskgrad/train/tensorboard_callback.hpp>

#include "command.hpp"
#include "table.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

void write_to_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_file("cannot create folder", folder, error.value());
}

// "(B, 20, 15)": the first dimension is the batch, whatever its size.
std::string shape_text(const Shape& shape) {
  std::string text = "(B";
  for (int axis = 1; axis < shape.rank(); ++axis) text += fmt::format(", {}", shape[axis]);
  return text + ")";
}

// Prints the summary of the last epoch on standard output, once training has ended.
class LastEpoch : public Callback {
 public:
  void on_epoch(const Trainer&, const EpochInfo& epoch) override {
    text_.clear();
    for (const Metric& metric : epoch.totals)
      text_ += fmt::format("{:<10} {:.4f}\n", metric.name, metric.mean());
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

fs::path run_folder(const Recipe& recipe, const Settings& settings) {
  const std::string& out = settings.text("out");
  return out.empty() ? fs::path("runs") / recipe.name() : fs::path(out);
}

std::unique_ptr<Optimizer> make_optimizer(const Settings& settings,
                                          const ParameterBuffer& parameters) {
  const std::string& name = settings.text("optimizer");
  if (name == "sgd") return std::make_unique<Sgd>(parameters, settings.real("momentum"));
  const Adam::Form form = name == "adam" ? Adam::Form::kKeras : Adam::Form::kPyTorch;
  return std::make_unique<Adam>(parameters, Adam::Options{.form = form});
}

TrainingRun::TrainingRun(const Recipe& recipe, const Settings& settings)
    : recipe_(recipe), settings_(settings), paths_(run_folder(recipe, settings)) {
  check_folder();
  set_num_threads(static_cast<int>(settings_.integer("threads")));
  load_data();
  make_model();
  write_folder();
  add_callbacks();
}

void TrainingRun::check_folder() const {
  const bool resume = settings_.flag("resume"), force = settings_.flag("force");
  as_usage([&] {
    check(!(resume && force), "train", "--resume and --force contradict each other");
    check(!resume || paths_.is_run(), "train", "there is no run in '{}' to resume",
          paths_.folder.string());
    check(resume || force || !paths_.is_run(), "train",
          "'{}' holds a run already: --resume goes on with it, --force replaces it, --out names "
          "another",
          paths_.folder.string());
  });
}

void TrainingRun::load_data() {
  fs::path folder = settings_.text("data");
  if (folder.empty()) {
    folder = paths_.own_data;
    if (!settings_.flag("resume")) recipe_.write_data(settings_, folder);
  }
  data_ = recipe_.load_data(settings_, folder);
}

void TrainingRun::make_model() {
  const auto seed = static_cast<std::uint64_t>(settings_.integer("seed"));
  model_ = recipe_.make_model(settings_);
  parameters_ = std::make_unique<ParameterBuffer>(model_->module(),
                                                  dtype_from_string(settings_.text("dtype")), seed);
  if (!settings_.text("init").empty()) load_weights(settings_.text("init"), *parameters_);
  optimizer_ = make_optimizer(settings_, *parameters_);
  TrainState state;
  if (settings_.flag("resume")) {
    if (const auto checkpoint = latest_checkpoint(paths_.checkpoints)) {
      state = load_checkpoint(*checkpoint, *parameters_, *optimizer_);
    }
  }
  loader_ = std::make_unique<DataLoader>(
      data_,
      DataLoader::Options{.batch_size = settings_.integer("batch_size"),
                          .shuffle = settings_.flag("shuffle"),
                          .seed = seed},
      state.position);
  trainer_ =
      std::make_unique<Trainer>([this](const Batch& batch) { return model_->evaluate(batch); },
                                *parameters_, *optimizer_, *loader_,
                                Trainer::Options{.lr = settings_.real("lr"),
                                                 .epochs = settings_.integer("epochs"),
                                                 .max_steps = settings_.integer("steps"),
                                                 .max_minutes = settings_.real("minutes")},
                                state);
}

void TrainingRun::write_folder() const {
  if (settings_.flag("force")) {
    for (const fs::path& old : {paths_.config, paths_.epochs, paths_.model, paths_.checkpoints,
                                paths_.logs, paths_.report}) {
      fs::remove_all(old);
    }
  }
  make_folder(paths_.checkpoints);
  write_file(paths_.config, settings_.to_toml());
}

void TrainingRun::add_callbacks() {
  // Files first: what a line of progress reports is on the disk by then.
  if (!settings_.text("step_log").empty())
    trainer_->add(std::make_unique<StepLog>(settings_.text("step_log")));
  trainer_->add(std::make_unique<EpochLog>(paths_.epochs));
  trainer_->add(std::make_unique<CheckpointCallback>(paths_.checkpoints));
  if (settings_.flag("tensorboard"))
    trainer_->add(std::make_unique<TensorBoardCallback>(paths_.logs));
  std::string style = settings_.text("progress");
  const bool terminal = isatty(STDERR_FILENO) == 1;
  if (style == "auto") style = terminal ? "bar" : "lines";
  if (style == "off") return;
  const bool color = terminal && !std::getenv("NO_COLOR");
  trainer_->add(std::make_unique<Progress>(
      style == "bar" ? Progress::Style::kBar : Progress::Style::kLines, color, write_to_stderr));
}

void TrainingRun::print_summary() {
  std::vector<std::vector<std::string>> rows = {{"layer", "kind", "output", "parameters", "mask"}};
  const std::int64_t first = 0;
  for (const LayerSummary& layer : model_->summarize(data_.collate({&first, 1}))) {
    rows.push_back({layer.name, layer.kind, shape_text(layer.output), with_commas(layer.parameters),
                    std::string(to_string(layer.mask_rule))});
  }
  write_to_stderr(fmt::format("{}{} parameters, {} samples, {} steps of {}\n\n", format_table(rows),
                              with_commas(parameters_->count()), with_commas(data_.size()),
                              with_commas(trainer_->total_steps()),
                              settings_.integer("batch_size")));
}

Trainer::Outcome TrainingRun::run(const std::atomic<bool>& stop) {
  if (settings_.text("progress") != "off") print_summary();
  auto last_epoch = std::make_unique<LastEpoch>();
  const LastEpoch& last = *last_epoch;
  trainer_->add(std::move(last_epoch));
  const std::int64_t first_step = trainer_->state().step;
  const auto start = std::chrono::steady_clock::now();
  if (trainer_->run(stop) == Trainer::Outcome::kInterrupted) return Trainer::Outcome::kInterrupted;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  save_tensors(paths_.model, parameters_->named_values(), {{"recipe", recipe_.name()}});
  write_report(std::span(&paths_.folder, 1), paths_.report);
  fmt::print("{}", last.text());
  print_results(seconds, trainer_->state().step - first_step);
  return Trainer::Outcome::kDone;
}

void TrainingRun::print_results(double seconds, std::int64_t steps) const {
  fmt::print("{:<10} {} in {:.1f} s, {:.1f} us each\n", "steps", steps, seconds,
             1e6 * seconds / static_cast<double>(std::max<std::int64_t>(1, steps)));
  fmt::print("{:<10} {}\n{:<10} {}\n", "run", paths_.folder.string(), "report",
             paths_.report.string());
}

}  // namespace maskgrad::apps
