#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/same_run.hpp>

namespace maskgrad {

Settings trained_with(const Settings& defaults, const RunPaths& paths, const Settings& saved) {
  const auto checkpoint = latest_sound_checkpoint(paths.checkpoints);
  if (!checkpoint) return saved;
  return settings_in(read_notes(*checkpoint), defaults, paths, *checkpoint).value_or(saved);
}

// With any other setting changed, config.toml would no longer say how the run came about.
void check_same_run(const Settings& was, const Settings& now, const RunPaths& paths) {
  const Settings before_stored = as_stored(was, paths.folder),
                 now_stored = as_stored(now, paths.folder);
  for (const Setting& before : before_stored.all()) {
    const SettingValue& after = now_stored.setting(before.key).value;
    check(!before.saved || before.may_change || before.value == after, "train",
          "the run in '{}' has {} = {}: it cannot go on with {}; a new run can, in a folder of its "
          "own",
          paths.folder.string(), before.key, to_string(before.value), to_string(after));
  }
}

}  // namespace maskgrad
