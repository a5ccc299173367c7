// What a run changes from step to step.
#pragma once

#include <memory>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/run/run_words.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// The weights of a run and what belongs to them: all that its checkpoints hold as tensors.
class RunWeights {
 public:
  /// Draws the starting weights of `module`, on the device of the settings. `groups` come before
  /// those of the settings. Throws Error for settings that fit no model.
  RunWeights(Module& module, const Settings& settings, std::vector<ParameterGroup> groups = {});

  /// For a new run: takes the weights of the file that the setting `init` names, if it names one.
  void start(const Settings& settings);
  /// For a run that goes on: takes its newest sound checkpoint. `warn` hears of damaged ones.
  /// Throws Error where there is none, or its weights are not finite.
  Checkpoint load(const RunPaths& paths, const Settings& settings, const RunWords& words,
                  const Warn& warn);

  ParameterBuffer& parameters() { return parameters_; }
  Optimizer& optimizer() { return *optimizer_; }
  /// Null where the settings ask for none.
  WeightAverage* average() { return average_.get(); }
  /// Undefined until the run validates.
  BestWeights& best() { return best_; }

 private:
  void make_average(const Settings& settings);

  ParameterBuffer parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<WeightAverage> average_;
  BestWeights best_;
};

}  // namespace maskgrad
