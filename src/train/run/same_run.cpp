#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/run/as_usage.hpp>
#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/run_words.hpp>
#include <maskgrad/train/run/same_run.hpp>

namespace maskgrad {
namespace {

// By the newest sound checkpoint, and by config.toml where there is none.
Settings trained_with(const Settings& defaults, const RunPaths& paths, const Settings& saved) {
  const auto checkpoint = latest_sound_checkpoint(paths.checkpoints);
  if (!checkpoint) return saved;
  return settings_in(read_notes(*checkpoint), defaults, paths, *checkpoint).value_or(saved);
}

// With any other setting changed, config.toml would no longer say how the run came about. `saved`:
// what it says now.
void check_same_run(const Settings& was, const Settings& saved, const Settings& now,
                    const RunPaths& paths) {
  const Settings before_stored = as_stored(was, paths.folder),
                 saved_stored = as_stored(saved, paths.folder),
                 now_stored = as_stored(now, paths.folder);
  for (const Setting& before : before_stored.all()) {
    const SettingValue& after = now_stored.setting(before.key).value;
    const bool is_from_file = after == saved_stored.setting(before.key).value;
    check(!before.saved || before.may_change || before.value == after, "train",
          "the run in '{}' has {} = {}: it cannot go on with {}{}{}; a new run can, in a folder of "
          "its own",
          paths.folder.string(), before.key, to_string(before.value), to_string(after),
          is_from_file ? fmt::format(", which '{}' says", paths.config.string()) : "",
          before.why_fixed.empty() ? "" : fmt::format(", for {}", before.why_fixed));
  }
}

}  // namespace

Settings settings_to_go_on(const Settings& defaults, const RunPaths& paths,
                           const std::function<Settings(const Settings& saved)>& ask) {
  const Settings saved = as_usage([&] { return read_saved_settings(defaults, paths); });
  const Settings trained = trained_with(defaults, paths, saved);
  return as_usage([&] {
    Settings now = ask(saved);
    check_same_run(trained, saved, now, paths);
    return now;
  });
}

}  // namespace maskgrad
