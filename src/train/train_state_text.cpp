#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/json_reader.hpp>
#include <maskgrad/train/formats/utf8.hpp>
#include <maskgrad/train/train_state_text.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "checkpoint";

std::string totals_text(const std::vector<Metric>& totals) {
  std::vector<std::string> items;
  for (const Metric& metric : totals) {
    const std::string sum = fmt::format("{}", metric.sum);
    items.push_back(fmt::format("[{},{},{}]", json_quote(utf8_from_bytes(metric.name)),
                                std::isfinite(metric.sum) ? sum : json_quote(sum), metric.count));
  }
  return fmt::format("[{}]", fmt::join(items, ","));
}

double read_sum(JsonReader& json) {
  if (!json.is_string()) return json.real();
  const std::string text = json.string();
  double sum = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sum);
  if (error != std::errc() || end != text.data() + text.size() || std::isfinite(sum)) {
    json.fail_here("expected a sum");
  }
  return sum;
}

std::vector<Metric> read_totals(std::string_view text, const std::string& file) {
  std::vector<Metric> totals;
  JsonReader json(text, kName, fmt::format("'{}': totals", file));
  const auto next = [&] {
    if (!json.next_element()) json.fail_here("expected name, sum and count");
  };
  json.enter_array();
  while (json.next_element()) {
    Metric metric;
    json.enter_array();
    next();
    metric.name = bytes_from_utf8(json.string());
    next();
    metric.sum = read_sum(json);
    next();
    const std::uint64_t count = json.integer();
    if (count > INT64_MAX || json.next_element()) json.fail_here("expected name, sum and count");
    metric.count = static_cast<std::int64_t>(count);
    totals.push_back(std::move(metric));
  }
  json.finish();
  return totals;
}

const std::string& find(const Metadata& metadata, const std::string& key, const std::string& file) {
  const auto found = metadata.find(key);
  check(found != metadata.end(), kName, "'{}' has no '{}' among its metadata", file, key);
  return found->second;
}

std::int64_t read_number(const Metadata& metadata, const std::string& key,
                         const std::string& file) {
  const std::string& text = find(metadata, key, file);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check(error == std::errc() && end == text.data() + text.size(), kName,
        "'{}': {} of '{}' is no whole number", file, quote(text), key);
  return number;
}

}  // namespace

Metadata metadata_of(const TrainState& state) {
  return {{"step", std::to_string(state.step)},
          {"epoch", std::to_string(state.position.epoch)},
          {"batch", std::to_string(state.position.batch)},
          {"skipped", std::to_string(state.skipped)},
          {"optimizer_steps", std::to_string(state.step - state.skipped)},
          {"totals", totals_text(state.totals)}};
}

TrainState train_state_of(const Metadata& metadata, const std::string& file) {
  TrainState state{read_number(metadata, "step", file),
                   {read_number(metadata, "epoch", file), read_number(metadata, "batch", file)},
                   read_totals(find(metadata, "totals", file), file),
                   read_number(metadata, "skipped", file)};
  check_state(state, file);
  const std::int64_t optimizer_steps = read_number(metadata, "optimizer_steps", file);
  check(optimizer_steps == state.step - state.skipped, kName,
        "'{}' contradicts itself: {} steps, {} of them skipped, and {} of the optimizer", file,
        state.step, state.skipped, optimizer_steps);
  return state;
}

void check_state(const TrainState& state, const std::string& file) {
  const auto& [epoch, batch] = state.position;
  check(state.step >= 0 && epoch >= 0 && batch >= 0, kName,
        "'{}' contradicts itself: step {}, epoch {}, batch {}", file, state.step, epoch, batch);
  // Each epoch that is over had a batch at least.
  const bool holds = epoch == 0 ? batch == state.step : epoch <= state.step - batch;
  check(batch <= state.step && holds, kName,
        "'{}' contradicts itself: {} steps do not reach batch {} of epoch {}", file, state.step,
        batch, epoch);
  check(state.skipped >= 0 && state.skipped <= state.step, kName,
        "'{}' contradicts itself: {} of {} steps skipped", file, state.skipped, state.step);
  for (const Metric& metric : state.totals) {
    // Half of what a number holds leaves room for the rest of the epoch.
    constexpr std::int64_t kMost = INT64_MAX / 2;
    check(metric.count >= 0 && metric.count <= kMost, kName,
          "'{}' contradicts itself: {} counts {}", file, quote(metric.name), metric.count);
  }
}

void check_position(const TrainState& state, std::int64_t batches_per_epoch,
                    const std::string& source) {
  const auto& [epoch, batch] = state.position;
  std::int64_t steps = 0;
  const bool overflow = __builtin_mul_overflow(epoch, batches_per_epoch, &steps) ||
                        __builtin_add_overflow(steps, batch, &steps);
  check(!overflow && steps == state.step && batch < batches_per_epoch, kName,
        "{}: {} steps do not lead to batch {} of epoch {}, of {} batches each", source, state.step,
        batch, epoch, batches_per_epoch);
}

}  // namespace maskgrad
