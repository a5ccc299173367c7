// The data that a run is trained on.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <maskgrad/train/run/run_notes.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Gives a data set of at least one sample, or throws Error.
using LoadData = std::function<std::shared_ptr<const Dataset>()>;

/// Where the data of a run come from. Data that are there are read before the run writes anything.
struct RunData {
  LoadData training;
  LoadData validation = {};         // empty: the run does not validate
  std::function<void()> make = {};  // writes what `training` reads into the folder of a new run
  bool makes_validation = false;    // `validation` reads what `make` writes, too
};

/// Where in a run its data begin. `now` is their fingerprint, `state` where the run stands, and
/// `resumed` are the notes of its checkpoint. A run goes on with the data that it was trained on.
/// At the end of an epoch it may begin with others, and `warn` hears of that. Throws Error for
/// other data within an epoch, and when `state` cannot be that of a run with these data.
DataStart start_of_data(const std::string& now, std::int64_t batches_per_epoch,
                        const TrainState& state, const Notes& resumed, const RunPaths& paths,
                        const Warn& warn);

}  // namespace maskgrad
