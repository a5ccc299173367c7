#include <chrono>

#include <fmt/format.h>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/callbacks/best_file.hpp>
#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/callbacks/tensorboard_callback.hpp>
#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/run/as_usage.hpp>
#include <maskgrad/train/run/idle_settings.hpp>
#include <maskgrad/train/run/run_callbacks.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/training_run.hpp>

namespace maskgrad {

TrainingRun::TrainingRun(RunParts parts, const Settings& settings, FolderClaim& claim)
    : parts_(std::move(parts)),
      settings_(settings),
      trained_(settings),
      math_(ops::product_math_of(settings.text("math"))),
      paths_(run_folder(parts_.name, settings)),
      claim_(claim),
      config_(paths_, claim),
      resume_(settings.flag("resume")) {
  const bool makes_data = parts_.data.make != nullptr;
  if (!parts_.warn) parts_.warn = [](const std::string&) {};
  if (!resume_ && !settings_.flag("force")) check_holds_no_run(paths_, makes_data, parts_.words);
  const auto threads = static_cast<int>(settings_.integer("threads"));
  set_num_threads(threads > 0 ? threads : num_processors());
  const TrainState state = prepare_weights();
  // Data that is there is read before anything is written; data of its own goes into the folder.
  const bool is_there = !makes_data || resume_;
  if (is_there || !parts_.data.makes_validation) load_validation();
  if (is_there) data_ = parts_.data.training();
  if (!resume_) begin_folder();
  fingerprint_ = data_->fingerprint();
  data_start_ = start_of_data(fingerprint_, count_batches(data_->size(), loading().batch_size),
                              state, resumed_, paths_, parts_.warn);
  restore_counts();
  make_trainer(state);
  add_callbacks();
}

TrainState TrainingRun::prepare_weights() {
  weights_.emplace(parts_.module, settings_, parts_.groups);
  if (resume_ && !claim_.saved_nothing_yet()) {
    Checkpoint checkpoint = weights_->load(paths_, settings_, parts_.words, parts_.warn);
    resumed_ = std::move(checkpoint.notes);
    trained_ =
        settings_in(resumed_, parts_.defaults, paths_, paths_.checkpoints).value_or(settings_);
    return std::move(checkpoint.state);
  }
  if (resume_) {
    parts_.warn(
        fmt::format("the run in '{}' was broken off before it saved anything: it starts anew",
                    paths_.folder.string()));
  }
  weights_->start(settings_);
  return {};
}

// Checkpoints of earlier versions have none.
void TrainingRun::restore_counts() {
  const auto counts = resumed_.find(kCountsNote);
  if (!parts_.restore || counts == resumed_.end()) return;
  try {
    parts_.restore(counts->second);
  } catch (const Error& error) {
    throw Error(error.name(), fmt::format("'{}': {}", paths_.checkpoints.string(), error.text()));
  }
}

void TrainingRun::load_validation() {
  if (parts_.data.validation) validation_ = parts_.data.validation();
}

void TrainingRun::begin_folder() {
  const bool makes_data = parts_.data.make != nullptr;
  claim_.begin_new_run(makes_data);
  if (makes_data) {
    parts_.data.make();
    if (parts_.data.makes_validation) load_validation();
    data_ = parts_.data.training();
  }
  make_folder(paths_.checkpoints);
  config_.write(settings_);
}

DataLoader::Options TrainingRun::loading() const {
  return {.batch_size = settings_.integer("batch_size"),
          .shuffle = settings_.flag("shuffle"),
          .seed = settings_.seed()};
}

void TrainingRun::make_trainer(const TrainState& state) {
  loader_ = std::make_unique<DataLoader>(*data_, loading(), state.position);
  as_usage([&] {
    trainer_ = std::make_unique<Trainer>(
        parts_.model, weights_->parameters(), weights_->optimizer(), *loader_,
        Trainer::Options{.lr = settings_.real("lr"),
                         .schedule = schedule_of(settings_),
                         .clip_norm = settings_.real("clip_norm"),
                         .average = weights_->average(),
                         .best = &weights_->best(),
                         .micro_batches = settings_.integer("micro_batches"),
                         .epochs = settings_.integer("epochs"),
                         .max_steps = settings_.integer("steps"),
                         .max_minutes = settings_.real("minutes"),
                         .schedule_steps = schedule_steps_in(resumed_),
                         .checkpoint_every = settings_.integer("checkpoint_every"),
                         .seed = loading().seed},
        state);
    check(state.step <= trainer_->total_steps(), "train",
          "the run in '{}' has {} already, and these settings end at {}", paths_.folder.string(),
          count_of(state.step, "step"), with_commas(trainer_->total_steps()));
  });
}

void TrainingRun::add_callbacks() {
  const LogOrigin origin = {resumed_, parts_.warn};
  trainer_->add(std::make_unique<StayInPlace>(claim_));
  trainer_->add(std::make_unique<AtFirstStep>([this] {
    if (resume_) config_.replace(settings_);
    trained_ = settings_;
  }));
  // Files first: what a line of progress reports is on the disk by then.
  if (!settings_.text("step_log").empty())
    trainer_->add(std::make_unique<StepLog>(settings_.text("step_log"), origin));
  trainer_->add(std::make_unique<EpochLog>(paths_.epochs, origin));
  trainer_->add(std::make_unique<ValidationLog>(paths_.validation, origin));
  if (validation_) {
    auto validation = std::make_unique<Validation>(
        *validation_, Validation::Options{.every_steps = settings_.integer("val_every"),
                                          .patience = settings_.integer("patience"),
                                          .best_from = parts_.best_from,
                                          .warn = parts_.warn});
    validating_ = validation.get();
    trainer_->add(std::move(validation));
  }
  trainer_->add(
      std::make_unique<CheckpointCallback>(paths_.checkpoints, [this] { return notes(); }));
  trainer_->add(std::make_unique<KeepFolder>(claim_));
  trainer_->add(std::make_unique<BestFile>(paths_.best, [this] { return model_notes(); }));
  if (settings_.flag("tensorboard"))
    trainer_->add(std::make_unique<TensorBoardCallback>(
        paths_.logs, TensorBoardCallback::Options{.peek = [this] { return loader_->peek(); },
                                                  .warn = parts_.warn}));
}

// For a checkpoint. Its own copy of the settings tells later what was changed in config.toml.
Notes TrainingRun::notes() const {
  Notes notes = {{"recipe", parts_.name},
                 {kSettingsNote, as_stored(trained_, paths_.folder).to_toml()},
                 {kDataNote, fingerprint_}};
  const bool is_constant = trainer_->options().schedule.kind == Schedule::Kind::kConstant;
  if (!is_constant && !trainer_->awaits_schedule())
    notes[kScheduleStepsNote] = std::to_string(trainer_->total_steps());
  if (parts_.counts) notes[kCountsNote] = parts_.counts();
  add_to(notes, data_start_);
  return notes;
}

// Equal runs have equal ones.
Notes TrainingRun::model_notes() const {
  return {{"recipe", parts_.name},
          {kSettingsNote, of_results(parts_.defaults, trained_).to_toml()},
          {kDataNote, fingerprint_}};
}

void TrainingRun::warn_of_idle_settings() const {
  for (const std::string& line : idle_settings(settings_, parts_.defaults, parts_.words)) {
    parts_.warn(line);
  }
}

void TrainingRun::warn_of_changes() const {
  const Settings before = as_stored(trained_, paths_.folder);
  const bool has_steps = trainer_->has_steps_left();
  const std::string what =
      has_steps ? fmt::format("changed from step {} on", with_commas(trainer_->state().step + 1))
      : is_out_of_patience() ? "not kept, as patience ends the run before it makes a step"
                             : "not changed, as the run has no step left";
  for (const std::string& change : before.differences(as_stored(settings_, paths_.folder))) {
    parts_.warn(fmt::format("{}: {}", what, change));
  }
  if (!is_out_of_patience()) warn_of_schedule();
}

// With another span, its steps have other rates than those of a run that was to be so long.
void TrainingRun::warn_of_schedule() const {
  const std::int64_t before = schedule_steps_in(resumed_), now = trainer_->total_steps();
  if (before == 0 || trainer_->options().schedule.kind == Schedule::Kind::kConstant) return;
  if (trainer_->awaits_schedule()) {
    const bool is_over = trainer_->state().step >= before;
    parts_.warn(fmt::format("the schedule spanned {}{}: now it ends with the minutes{}",
                            count_of(before, "step"), is_over ? ", all of which are done" : "",
                            is_over ? ", and begins with the whole learning rate again" : ""));
  } else if (before != now) {
    parts_.warn(fmt::format("the schedule now spans {}, it was {}", count_of(now, "step"),
                            with_commas(before)));
  } else if (settings_.real("minutes") > 0) {
    parts_.warn(fmt::format(
        "the schedule has begun to fall and ends at step {}, whatever the minutes", now));
  }
}

RunEnd TrainingRun::run(const std::atomic<bool>& stop, const std::function<void()>& begin,
                        const std::function<void(const RunEnd&)>& end) {
  auto last_epoch = std::make_unique<LastEpoch>();
  const LastEpoch& last = *last_epoch;
  trainer_->add(std::make_unique<AtStart>([this] { warn_of_changes(); }));
  trainer_->add(std::move(last_epoch));
  // What is refused at the start would be refused again.
  const auto way_to_go_on = [&] {
    return last.has_started() && can_go_on() ? parts_.words.way_to_go_on() : "";
  };
  try {
    warn_of_idle_settings();
    if (begin) begin();
    const RunEnd ended = train(stop, last);
    if (end && ended.outcome == Trainer::Outcome::kDone) {
      const WithAverage with_average(weights_->average(), weights_->parameters());
      end(ended);
    }
    return ended;
  } catch (const Diverged& error) {
    if (!claim_.is_kept()) config_.put_back(parts_.warn);
    throw Diverged(error.name(), std::string(error.text()) + way_out_of_divergence());
  } catch (const UsageError& error) {
    throw UsageError(error.name(), std::string(error.text()) + way_to_go_on());
  } catch (const Error& error) {
    throw Error(error.name(), std::string(error.text()) + way_to_go_on());
  } catch (const std::bad_alloc&) {
    spare_ = {};
    throw Error("memory", kNoMoreMemory + way_to_go_on());
  }
}

// With steps left.
bool TrainingRun::is_out_of_patience() const {
  return validating_ && validating_->wants_to_stop() &&
         trainer_->state().step < trainer_->total_steps();
}

RunEnd TrainingRun::train(const std::atomic<bool>& stop, const LastEpoch& last) {
  const std::int64_t first_step = trainer_->state().step;
  const auto start = std::chrono::steady_clock::now();
  const Trainer::Outcome outcome = trainer_->run(stop);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (outcome == Trainer::Outcome::kDone) save();
  return {.outcome = outcome,
          .steps = trainer_->state().step - first_step,
          .seconds = took.count(),
          .seconds_in_epochs = last.seconds(),
          .totals = last.totals(),
          .batches = last.batches(),
          .validation = last.validation(),
          .out_of_patience = is_out_of_patience(),
          .best = weights_->best()};
}

void TrainingRun::save() {
  claim_.check_place();
  const WithAverage with_average(weights_->average(), weights_->parameters());
  Notes notes = model_notes();
  std::error_code ignored;
  const bool has_table = std::filesystem::exists(paths_.epochs, ignored);
  check(has_table || !paths_.has_ended(), "train",
        "'{}' is gone, and the model there vouches for it: put it back, or train further",
        paths_.epochs.string());
  if (has_table) notes[kEpochValuesNote] = epoch_values_digest(paths_.epochs);
  if (trainer_->state().position.batch > 0) notes[kEpochPartNote] = epoch_part(*trainer_);
  save_model(paths_.model, weights_->parameters(), notes);
}

bool TrainingRun::can_go_on() const {
  const bool has_checkpoint = claim_.is_kept() || (resume_ && !claim_.saved_nothing_yet());
  return has_checkpoint && claim_.is_in_place();
}

// Empty where nothing was saved: then the same call may be made again with other settings.
std::string TrainingRun::way_out_of_divergence() const {
  if (!can_go_on()) return "";
  return claim_.is_kept() ? parts_.words.way_to_go_on_slower(settings_.real("lr"))
                          : parts_.words.way_to_start_slower();
}

}  // namespace maskgrad
