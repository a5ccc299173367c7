#include <fmt/format.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/run/run_data.hpp>

namespace maskgrad {

DataStart start_of_data(const std::string& now, std::int64_t batches_per_epoch,
                        const TrainState& state, const Notes& resumed, const RunPaths& paths,
                        const Warn& warn) {
  const DataStart start = data_start_in(resumed);
  const auto before = resumed.find(kDataNote);
  if (before == resumed.end() || before->second == now) {
    TrainState within = state;  // the part of the run that these data are of
    within.step -= start.step;
    within.position.epoch -= start.epoch;
    check_position(within, batches_per_epoch, paths.folder.string());
    return start;
  }
  const std::string change =
      fmt::format("the run in '{}' was trained on other data: on {}, and now there are {}",
                  paths.folder.string(), before->second, now);
  const std::int64_t epoch = state.position.epoch + 1;
  check(state.position.batch == 0, "train",
        "{}; it stands within epoch {}, which needs the former data: put them back, or begin a new "
        "run in another folder",
        change, epoch);
  warn(fmt::format("{}; epoch {} begins with these", change, epoch));
  return {state.step, state.position.epoch};
}

}  // namespace maskgrad
