#include <charconv>
#include <cmath>

#include <maskgrad/train/callbacks/validation.hpp>
#include <maskgrad/train/formats/utf8.hpp>
#include <maskgrad/train/model_file.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "validation";

// Takes a number and the space behind it from the front of `text`.
template <class T>
bool take(std::string_view& text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with(' ')) text.remove_prefix(1);
  return true;
}

}  // namespace

Validation::Validation(const Dataset& data, Options options, const Notes& resumed)
    : data_(data), options_(std::move(options)) {
  check(data.size() > 0, kName, "there are no samples");
  check(options_.batch_size >= 1, kName, "batch_size must be at least 1, not {}",
        options_.batch_size);
  check(options_.every_steps >= 0, kName, "every_steps must be at least 0, not {}",
        options_.every_steps);
  check(options_.patience >= 0, kName, "patience must be at least 0, not {}", options_.patience);
  if (const auto note = resumed.find(kValidationNote); note != resumed.end())
    read_note(note->second);
}

void Validation::read_note(const std::string& text) {
  std::string_view rest = text;
  const bool holds = take(rest, best_step_) && take(rest, best_loss_) && take(rest, since_best_) &&
                     rest.empty() && best_step_ >= 0 && since_best_ >= 0 &&
                     std::isfinite(best_loss_);
  check(holds, kName, "the checkpoint's note {} is none of it", quote(text));
}

void Validation::add_notes(Notes& notes) const {
  if (best_step_ < 0) return;
  notes[kValidationNote] = fmt::format("{} {} {}", best_step_, best_loss_, since_best_);
}

void Validation::on_step(const Trainer& trainer, const StepInfo&) {
  const std::int64_t every = options_.every_steps;
  if (every > 0 && trainer.state().step % every == 0) validate(trainer);
}

void Validation::on_epoch(const Trainer& trainer, const EpochInfo&) {
  const std::int64_t step = trainer.state().step;
  const bool is_due = options_.every_steps == 0 || step >= trainer.total_steps();
  if (is_due && step != last_step_) validate(trainer);
}

void Validation::on_end_within_epoch(const Trainer& trainer, const EpochInfo&) {
  if (trainer.state().step != last_step_) validate(trainer);
}

void Validation::validate(const Trainer& trainer) {
  last_step_ = trainer.state().step;
  const WithAverage with_average(trainer.options().average, trainer.parameters());
  const std::vector<Metric> totals = evaluate(trainer.model(), data_, options_.batch_size);
  const double loss = totals.front().mean();
  const bool is_best = loss < best_loss_;
  if (is_best) {
    best_step_ = last_step_;
    best_loss_ = loss;
    since_best_ = 0;
    if (!options_.best.empty()) {
      Notes notes = options_.notes ? options_.notes() : Notes{};
      add_notes(notes);
      save_model(options_.best, trainer.parameters(), notes);
    }
  } else {
    ++since_best_;
  }
  trainer.report({last_step_, totals, is_best});
}

}  // namespace maskgrad
