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
  const std::string change = fmt::format(
      "the data are others than the run was trained on: {} were, {} are", before->second, now);
  check(state.position.batch == 0, "train", "{}: within epoch {} it cannot go on with them", change,
        state.position.epoch + 1);
  warn(fmt::format("{}: epoch {} begins with them", change, state.position.epoch + 1));
  return {state.step, state.position.epoch};
}

}  // namespace maskgrad
