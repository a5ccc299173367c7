#include "training_run.hpp"

#include <chrono>
#include <cstdlib>
#include <numeric>

#include <sys/ioctl.h>
#include <unistd.h>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/adam.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/progress.hpp>
#include <maskgrad/train/run_logs.hpp>
#include <maskgrad/train/sgd.hpp>
#include <maskgrad/train/tensorboard_callback.hpp>

#include "command.hpp"
#include "output.hpp"
#include "table.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// A terminal that shows control sequences as such gets lines.
bool has_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && kind && std::string_view(kind) != "dumb";
}

bool wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  return has_terminal() && (!no_color || !*no_color);
}

int terminal_columns() {
  struct winsize size {};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

// "(B, 20, 15)": the first dimension is the batch, whatever its size.
std::string shape_text(const Shape& shape) {
  std::string text = "(B";
  for (int axis = 1; axis < shape.rank(); ++axis) text += fmt::format(", {}", shape[axis]);
  return text + ")";
}

// The means of the last epoch, or of what was done of it, to be printed once training has ended.
class LastMeans : public Callback {
 public:
  void on_epoch(const Trainer&, const EpochInfo& epoch) override { write(epoch, ""); }
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override {
    write(part, fmt::format("  mean of the last {} steps", part.batches));
  }
  const std::string& text() const { return text_; }

 private:
  void write(const EpochInfo& epoch, const std::string& remark) {
    text_.clear();
    for (const Metric& metric : epoch.totals)
      text_ += fmt::format("{:<10} {:.4f}{}\n", metric.name, metric.mean(), remark);
  }

  std::string text_;
};

// From the first step on, the run folder stays, whatever happens.
class KeepFolder : public Callback {
 public:
  explicit KeepFolder(FolderClaim& claim) : claim_(claim) {}
  void on_start(const Trainer&) override { claim_.keep(); }

 private:
  FolderClaim& claim_;
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
    : recipe_(recipe),
      settings_(settings),
      paths_(run_folder(recipe, settings)),
      resume_(settings.flag("resume")),
      own_data_(settings.text("data").empty()) {
  check_folder();
  set_num_threads(static_cast<int>(settings_.integer("threads")));
  const TrainState state = make_model();
  // Data that is there is read before anything is written; data of its own goes into the folder.
  if (!own_data_) load_data();
  claim_ = std::make_unique<FolderClaim>(
      paths_, resume_ ? FolderClaim::Purpose::kResume : FolderClaim::Purpose::kNewRun, own_data_);
  if (settings_.flag("force")) remove_run_files(paths_, own_data_);
  if (own_data_) load_data();
  make_trainer(state);
  write_folder();
  add_callbacks();
}

void TrainingRun::check_folder() const {
  const bool force = settings_.flag("force");
  as_usage([&] {
    check(!(resume_ && force), "train", "--resume and --force contradict each other");
    check(!resume_ || paths_.is_run(), "train", "there is no run in '{}' to resume",
          paths_.folder.string());
    if (resume_ || force) return;
    check(!paths_.is_run(), "train",
          "'{}' holds a run already: --resume goes on with it, --force replaces it, --out names "
          "another folder",
          paths_.folder.string());
    const fs::path obstacle = first_in_the_way(paths_, own_data_);
    check(obstacle.empty(), "train",
          "there is a '{}' already: --force replaces it, --out names another folder",
          obstacle.string());
  });
}

void TrainingRun::load_data() {
  const fs::path folder = own_data_ ? paths_.own_data : fs::path(settings_.text("data"));
  if (own_data_ && !resume_) recipe_.write_data(settings_, folder);
  data_ = recipe_.load_data(settings_, folder);
  check(data_.size() > 0, "data", "'{}' holds no samples", folder.string());
}

TrainState TrainingRun::make_model() {
  const auto seed = static_cast<std::uint64_t>(settings_.integer("seed"));
  model_ = recipe_.make_model(settings_);
  parameters_ = std::make_unique<ParameterBuffer>(model_->module(),
                                                  dtype_from_string(settings_.text("dtype")), seed);
  if (!settings_.text("init").empty()) load_weights(settings_.text("init"), *parameters_);
  optimizer_ = make_optimizer(settings_, *parameters_);
  if (!resume_) return {};
  auto checkpoint = load_latest_checkpoint(paths_.checkpoints, *parameters_, *optimizer_, warn);
  if (!checkpoint) return {};
  resumed_ = std::move(checkpoint->notes);
  return std::move(checkpoint->state);
}

DataLoader::Options TrainingRun::loading() const {
  return {.batch_size = settings_.integer("batch_size"),
          .shuffle = settings_.flag("shuffle"),
          .seed = static_cast<std::uint64_t>(settings_.integer("seed"))};
}

void TrainingRun::make_trainer(const TrainState& state) {
  loader_ = std::make_unique<DataLoader>(data_, loading(), state.position);
  trainer_ =
      std::make_unique<Trainer>([this](const Batch& batch) { return model_->evaluate(batch); },
                                *parameters_, *optimizer_, *loader_,
                                Trainer::Options{.lr = settings_.real("lr"),
                                                 .clip_norm = settings_.real("clip_norm"),
                                                 .epochs = settings_.integer("epochs"),
                                                 .max_steps = settings_.integer("steps"),
                                                 .max_minutes = settings_.real("minutes")},
                                state);
  as_usage([&] {
    check(state.step <= trainer_->total_steps(), "train",
          "the run in '{}' has {} steps already, and these settings end at {}",
          paths_.folder.string(), state.step, trainer_->total_steps());
  });
}

void TrainingRun::write_folder() const {
  make_folder(paths_.checkpoints);
  write_file(paths_.config, settings_.to_toml());
}

void TrainingRun::add_callbacks() {
  // Files first: what a line of progress reports is on the disk by then.
  if (!settings_.text("step_log").empty())
    trainer_->add(std::make_unique<StepLog>(settings_.text("step_log"), LogOrigin{resumed_, warn}));
  trainer_->add(std::make_unique<EpochLog>(paths_.epochs, LogOrigin{resumed_, warn}));
  trainer_->add(std::make_unique<CheckpointCallback>(paths_.checkpoints));
  if (settings_.flag("tensorboard"))
    trainer_->add(std::make_unique<TensorBoardCallback>(paths_.logs));
  add_progress();
}

void TrainingRun::add_progress() {
  std::string style = settings_.text("progress");
  if (style == "off") return;
  if (style == "auto") style = has_terminal() ? "bar" : "lines";
  trainer_->add(
      std::make_unique<Progress>(style == "bar" ? Progress::Style::kBar : Progress::Style::kLines,
                                 wants_color(), write_message, terminal_columns));
}

void TrainingRun::print_summary() {
  std::vector<std::vector<std::string>> rows = {{"layer", "kind", "output", "parameters", "mask"}};
  const std::int64_t first = 0;
  for (const LayerSummary& layer : model_->summarize(data_.collate({&first, 1}))) {
    rows.push_back({layer.name, layer.kind, shape_text(layer.output), with_commas(layer.parameters),
                    std::string(to_string(layer.mask_rule))});
  }
  write_message(fmt::format("{}{} parameters, {} samples, {} steps of {}\n{}\n", format_table(rows),
                            with_commas(parameters_->count()), with_commas(data_.size()),
                            with_commas(trainer_->total_steps()), settings_.integer("batch_size"),
                            packing_of_next_batch()));
}

// Lines that say what becomes of padding and why; empty when nothing is to be packed.
std::string TrainingRun::packing_of_next_batch() {
  std::string lines;
  for (const std::string& line : model_->explain_packing(loader_->peek())) {
    lines += fmt::format("first batch: {}\n", line);
  }
  return lines;
}

Trainer::Outcome TrainingRun::run(const std::atomic<bool>& stop) {
  if (settings_.text("progress") != "off") print_summary();
  auto last_means = std::make_unique<LastMeans>();
  const LastMeans& last = *last_means;
  trainer_->add(std::move(last_means));
  trainer_->add(std::make_unique<KeepFolder>(*claim_));
  const std::int64_t first_step = trainer_->state().step;
  if (first_step == trainer_->total_steps() && settings_.text("progress") != "off") {
    write_message("The run has all its steps already; --epochs or --steps asks for more.\n");
  }
  const auto start = std::chrono::steady_clock::now();
  if (trainer_->run(stop) == Trainer::Outcome::kInterrupted) return Trainer::Outcome::kInterrupted;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  save_model(paths_.model, *parameters_,
             {{"recipe", recipe_.name()}, {kEpochValuesNote, epoch_values_digest(paths_.epochs)}});
  write_report(std::span(&paths_.folder, 1), paths_.report);
  write_output(last.text());
  print_results(seconds, trainer_->state().step - first_step);
  return Trainer::Outcome::kDone;
}

void TrainingRun::print_results(double seconds, std::int64_t steps) const {
  if (steps > 0) {
    print("{:<10} {} in {:.1f} s, {:.1f} us each\n", "steps", steps, seconds,
          1e6 * seconds / static_cast<double>(steps));
  }
  print("{:<10} {}\n{:<10} {}\n", "run", paths_.folder.string(), "report", paths_.report.string());
}

}  // namespace maskgrad::apps
