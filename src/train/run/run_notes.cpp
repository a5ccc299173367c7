#include <charconv>

#include <fmt/format.h>

#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/run/run_settings.hpp>

namespace maskgrad {
namespace {

constexpr const char *kDataStep = "data_since_step", *kDataEpoch = "data_since_epoch";

std::int64_t number_in(const Notes& notes, const char* key) {
  const auto note = notes.find(key);
  if (note == notes.end()) return 0;
  const std::string& text = note->second;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check(error == std::errc() && end == text.data() + text.size() && number >= 0, "checkpoint",
        "its note '{}' is no number: '{}'", key, text);
  return number;
}

}  // namespace

std::optional<Settings> settings_in(const Notes& notes, const Settings& defaults,
                                    const RunPaths& paths, const std::filesystem::path& file) {
  const auto text = notes.find(kSettingsNote);
  if (text == notes.end()) return std::nullopt;
  Settings settings = defaults;
  settings.read_saved_toml(text->second, fmt::format("the settings in '{}'", file.string()));
  return as_used(settings, paths.folder);
}

std::int64_t schedule_steps_in(const Notes& notes) { return number_in(notes, kScheduleStepsNote); }

DataStart data_start_in(const Notes& notes) {
  return {number_in(notes, kDataStep), number_in(notes, kDataEpoch)};
}

void add_to(Notes& notes, const DataStart& start) {
  notes[kDataStep] = std::to_string(start.step);
  notes[kDataEpoch] = std::to_string(start.epoch);
}

}  // namespace maskgrad
