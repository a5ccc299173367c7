#include "cli/training_run.hpp"

#include <chrono>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/callbacks/progress.hpp>
#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/callbacks/tensorboard_callback.hpp>
#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/finite_parameters.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/toml_guard.hpp>
#include <maskgrad/train/model_file.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/run_settings.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// "(B, 20, 15)": the first dimension is the batch, whatever its size.
std::string shape_text(const Shape& shape) {
  std::string text = "(B";
  for (int axis = 1; axis < shape.rank(); ++axis) text += fmt::format(", {}", shape[axis]);
  return text + ")";
}

}  // namespace

TrainingRun::TrainingRun(const Recipe& recipe, const Settings& settings, FolderClaim& claim)
    : recipe_(recipe),
      settings_(settings),
      trained_(settings),
      paths_(run_folder(recipe, settings)),
      claim_(claim),
      resume_(settings.flag("resume")),
      own_data_(settings.text("data").empty()) {
  if (!resume_ && !settings_.flag("force")) check_holds_no_run(paths_, own_data_);
  set_num_threads(static_cast<int>(settings_.integer("threads")));
  const TrainState state = make_model();
  load_validation();
  // Data that is there is read before anything is written; data of its own goes into the folder.
  if (!own_data_ || resume_) load_data();
  if (!resume_) {
    claim_.begin_new_run(own_data_);
    if (own_data_) {
      recipe_.write_data(settings_, paths_.own_data);
      load_data();
    }
    make_folder(paths_.checkpoints);
    write_config();
  }
  check_data(state);
  make_trainer(state);
  add_callbacks();
}

TrainState TrainingRun::make_model() {
  const auto seed = static_cast<std::uint64_t>(settings_.integer("seed"));
  model_ = recipe_.make_model(settings_);
  parameters_ = std::make_unique<ParameterBuffer>(model_->module(),
                                                  dtype_from_string(settings_.text("dtype")), seed,
                                                  Device{}, parameter_groups(settings_));
  optimizer_ = make_optimizer(settings_, *parameters_);
  if (resume_ && !claim_.saved_nothing_yet()) return load_checkpoint();
  if (resume_) {
    warn(fmt::format("the run in '{}' was broken off before it saved anything: it starts anew",
                     paths_.folder.string()));
  }
  if (!settings_.text("init").empty()) load_weights(settings_.text("init"), *parameters_);
  make_average();
  return {};
}

// Of the weights as they are.
void TrainingRun::make_average() {
  const double decay = settings_.real("ema");
  if (decay > 0) average_ = std::make_unique<WeightAverage>(*parameters_, decay);
}

TrainState TrainingRun::load_checkpoint() {
  make_average();
  auto checkpoint =
      load_latest_checkpoint(paths_.checkpoints, *parameters_, *optimizer_, warn, average_.get());
  check(checkpoint.has_value(), "train",
        "'{}' holds none of the checkpoints that the run saved: put them back, or begin the run "
        "anew with --force",
        paths_.checkpoints.string());
  if (const auto found = find_not_finite(*parameters_, parameters_->values())) {
    fail("train", "the run in '{}' cannot go on: element {} of {} is {}", paths_.folder.string(),
         found->element, found->parameter, found->value);
  }
  resumed_ = std::move(checkpoint->notes);
  trained_ = settings_in(resumed_, recipe_, paths_, paths_.checkpoints).value_or(settings_);
  return std::move(checkpoint->state);
}

void TrainingRun::load_data() {
  const fs::path folder = own_data_ ? paths_.own_data : fs::path(settings_.text("data"));
  const bool is_from_config =
      resume_ && settings_.text("data") == read_saved_settings(recipe_, paths_).text("data");
  check_data_folder(folder, paths_, !is_from_config);
  data_ = recipe_.load_data(settings_, folder, DataPart::kTraining);
  check(data_->size() > 0, "data", "'{}' holds no samples", folder.string());
}

void TrainingRun::load_validation() {
  const fs::path folder = settings_.text("val");
  if (folder.empty()) return;
  validation_ = recipe_.load_data(settings_, folder, DataPart::kAll);
  check(validation_->size() > 0, "data", "'{}' holds no samples", folder.string());
}

// A run that goes on does so with the data that it was trained on, or begins an epoch with others.
void TrainingRun::check_data(const TrainState& state) {
  data_start_ = data_start_in(resumed_);
  const auto before = resumed_.find(kDataNote);
  const std::string now = data_->fingerprint();
  if (before == resumed_.end() || before->second == now) {
    TrainState within = state;  // the part of the run that these data are of
    within.step -= data_start_.step;
    within.position.epoch -= data_start_.epoch;
    check_position(within, count_batches(data_->size(), settings_.integer("batch_size")),
                   paths_.folder.string());
    return;
  }
  const std::string change = fmt::format(
      "the data are others than the run was trained on: {} were, {} are", before->second, now);
  check(state.position.batch == 0, "train", "{}: within epoch {} it cannot go on with them", change,
        state.position.epoch + 1);
  warn(fmt::format("{}: epoch {} begins with them", change, state.position.epoch + 1));
  data_start_ = {state.step, state.position.epoch};
}

DataLoader::Options TrainingRun::loading() const {
  return {.batch_size = settings_.integer("batch_size"),
          .shuffle = settings_.flag("shuffle"),
          .seed = static_cast<std::uint64_t>(settings_.integer("seed"))};
}

void TrainingRun::make_trainer(const TrainState& state) {
  loader_ = std::make_unique<DataLoader>(*data_, loading(), state.position);
  as_usage([&] {
    trainer_ = std::make_unique<Trainer>(
        [this](const Batch& batch, Pass& pass) { return model_->evaluate(batch, pass); },
        *parameters_, *optimizer_, *loader_,
        Trainer::Options{.lr = settings_.real("lr"),
                         .schedule = schedule_of(settings_),
                         .clip_norm = settings_.real("clip_norm"),
                         .average = average_.get(),
                         .micro_batches = settings_.integer("micro_batches"),
                         .epochs = settings_.integer("epochs"),
                         .max_steps = settings_.integer("steps"),
                         .max_minutes = settings_.real("minutes"),
                         .checkpoint_every = settings_.integer("checkpoint_every"),
                         .seed = loading().seed},
        state);
    check(state.step <= trainer_->total_steps(), "train",
          "the run in '{}' has {} steps already, and these settings end at {}",
          paths_.folder.string(), state.step, trainer_->total_steps());
  });
}

void TrainingRun::write_config() const {
  claim_.check_place();
  write_file(paths_.config, as_stored(settings_, paths_.folder).to_toml());
}

// With a config.toml of settings that lead nowhere, going on would fail again.
void TrainingRun::put_config_back() const {
  try {
    if (!former_config_.empty() && claim_.is_in_place()) write_file(paths_.config, former_config_);
  } catch (const Error& error) {
    warn(fmt::format("{}: {}", error.name(), error.text()));
  }
}

void TrainingRun::add_callbacks() {
  const LogOrigin origin = {resumed_, warn};
  trainer_->add(std::make_unique<StayInPlace>(claim_));
  trainer_->add(std::make_unique<AtFirstStep>([this] {
    if (resume_) {
      former_config_ = read_file(paths_.config, kMostTomlBytes);
      write_config();
    }
    trained_ = settings_;
  }));
  // Files first: what a line of progress reports is on the disk by then.
  if (!settings_.text("step_log").empty())
    trainer_->add(std::make_unique<StepLog>(settings_.text("step_log"), origin));
  trainer_->add(std::make_unique<EpochLog>(paths_.epochs, origin));
  if (validation_) add_validation();
  trainer_->add(
      std::make_unique<CheckpointCallback>(paths_.checkpoints, [this] { return notes(); }));
  trainer_->add(std::make_unique<KeepFolder>(claim_));
  if (settings_.flag("tensorboard"))
    trainer_->add(std::make_unique<TensorBoardCallback>(paths_.logs));
  add_progress();
}

void TrainingRun::add_validation() {
  trainer_->add(std::make_unique<Validation>(
      *validation_,
      Validation::Options{.every_steps = settings_.integer("val_every"),
                          .patience = settings_.integer("patience"),
                          .best = paths_.best,
                          .notes =
                              [this] {
                                claim_.check_place();
                                return model_notes();
                              }},
      resumed_));
}

// For a checkpoint. Its own copy of the settings tells later what was changed in config.toml.
Notes TrainingRun::notes() const {
  Notes notes = {{"recipe", recipe_.name()},
                 {kSettingsNote, as_stored(trained_, paths_.folder).to_toml()},
                 {kDataNote, data_->fingerprint()}};
  add_to(notes, data_start_);
  return notes;
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
  for (const LayerSummary& layer : model_->summarize(data_->collate({&first, 1}))) {
    rows.push_back({layer.name, layer.kind, shape_text(layer.output), with_commas(layer.parameters),
                    std::string(to_string(layer.mask_rule))});
  }
  write_message(fmt::format("{}{} parameters, {} samples, {} steps of {}\n{}\n", format_table(rows),
                            with_commas(parameters_->count()), with_commas(data_->size()),
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

std::string TrainingRun::command_to_go_on() const {
  return fmt::format("maskgrad train {} --out {} --resume", recipe_.name(),
                     shell_word(paths_.folder.string()));
}

Trainer::Outcome TrainingRun::run(const std::atomic<bool>& stop) {
  auto last_means = std::make_unique<LastMeans>();
  const LastMeans& last = *last_means;
  trainer_->add(std::move(last_means));
  try {
    return train(stop, last);
  } catch (const Diverged& error) {
    if (!claim_.is_kept()) put_config_back();
    throw Error(error.name(), fmt::format("{}{}", error.text(), way_out_of_divergence()));
  } catch (const Error& error) {
    throw Error(error.name(), std::string(error.text()) + way_to_go_on(last));
  } catch (const std::bad_alloc&) {
    throw Error("memory", kNoMoreMemory + way_to_go_on(last));
  }
}

// Empty without a checkpoint. What is refused at the start would be refused again.
std::string TrainingRun::way_to_go_on(const LastMeans& last) const {
  if (!last.has_started() || !can_go_on()) return "";
  return "; the last checkpoint is kept, go on with: " + command_to_go_on();
}

bool TrainingRun::can_go_on() const {
  const bool has_checkpoint = claim_.is_kept() || (resume_ && !claim_.saved_nothing_yet());
  return has_checkpoint && claim_.is_in_place();
}

// Empty where nothing was saved: then the same command may be given again with other settings.
std::string TrainingRun::way_out_of_divergence() const {
  if (!can_go_on()) return "";
  if (!claim_.is_kept()) {
    return "; the run is as it was before: give the command again with a smaller --lr";
  }
  return fmt::format("; the last checkpoint is kept, go on with a smaller --lr: {} --lr {}",
                     command_to_go_on(), settings_.real("lr") / 10);
}

Trainer::Outcome TrainingRun::train(const std::atomic<bool>& stop, const LastMeans& last) {
  const Settings before = as_stored(trained_, paths_.folder);
  for (const std::string& change : before.differences(as_stored(settings_, paths_.folder))) {
    warn(change);
  }
  if (settings_.text("progress") != "off") print_summary();
  const std::int64_t first_step = trainer_->state().step;
  if (first_step == trainer_->total_steps() && settings_.text("progress") != "off") {
    write_message("The run has all its steps already; --epochs or --steps asks for more.\n");
  }
  const auto start = std::chrono::steady_clock::now();
  if (trainer_->run(stop) == Trainer::Outcome::kInterrupted) return Trainer::Outcome::kInterrupted;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  finish(last.text(), seconds, trainer_->state().step - first_step);
  return Trainer::Outcome::kDone;
}

// Equal runs have equal ones.
Notes TrainingRun::model_notes() const {
  return {{"recipe", recipe_.name()},
          {kSettingsNote, of_results(recipe_, trained_).to_toml()},
          {kDataNote, data_->fingerprint()}};
}

void TrainingRun::finish(const std::string& means, double seconds, std::int64_t steps) const {
  claim_.check_place();
  const WithAverage with_average(average_.get(), *parameters_);
  Notes notes = model_notes();
  notes[kEpochValuesNote] = epoch_values_digest(paths_.epochs);
  save_model(paths_.model, *parameters_, notes);
  write_report(std::span(&paths_.folder, 1), paths_.report);
  write_output(means);
  if (steps > 0) {
    print("{:<10} {} in {:.1f} s, {:.1f} us each\n", "steps", steps, seconds,
          1e6 * seconds / static_cast<double>(steps));
  }
  print("{:<10} {}\n{:<10} {}\n", "run", one_line(paths_.folder.string()), "report",
        one_line(paths_.report.string()));
  if (!lost_messages().empty()) {
    print("{:<10} not shown to its end: {}\n", "progress", lost_messages());
  }
}

}  // namespace maskgrad::apps
