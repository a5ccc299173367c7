#include <algorithm>
#include <iterator>

#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/train/finite_parameters.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/run_weights.hpp>

namespace maskgrad {

namespace {

std::vector<ParameterGroup> with_those_of(const Settings& settings,
                                          std::vector<ParameterGroup> groups) {
  std::vector<ParameterGroup> others = parameter_groups(settings);
  if (!groups.empty() && others.empty()) others = {{.name = "others", .owns = is_any}};
  std::ranges::move(others, std::back_inserter(groups));
  return groups;
}

}  // namespace

RunWeights::RunWeights(Module& module, const Settings& settings, std::vector<ParameterGroup> groups)
    : parameters_(module, dtype_from_string(settings.text("dtype")), settings.seed(),
                  choose_device(settings.text("device")),
                  with_those_of(settings, std::move(groups))),
      optimizer_(make_optimizer(settings, parameters_)) {}

// Of the weights as they are.
void RunWeights::make_average(const Settings& settings) {
  const double decay = settings.real("ema");
  if (decay > 0) average_ = std::make_unique<WeightAverage>(parameters_, decay);
}

void RunWeights::start(const Settings& settings) {
  if (!settings.text("init").empty()) load_weights(settings.text("init"), parameters_);
  make_average(settings);
}

Checkpoint RunWeights::load(const RunPaths& paths, const Settings& settings, const RunWords& words,
                            const Warn& warn) {
  make_average(settings);
  auto checkpoint = load_latest_checkpoint(paths.checkpoints, parameters_, *optimizer_, warn,
                                           average_.get(), &best_);
  check(checkpoint.has_value(), "train",
        "'{}' holds none of the checkpoints that the run saved: put them back, or begin the run "
        "anew with {}",
        paths.checkpoints.string(), words.setting("force"));
  if (const auto found = find_not_finite(parameters_, parameters_.values())) {
    fail("train", "the run in '{}' cannot go on: element {} of {} is {}", paths.folder.string(),
         found->element, found->parameter, found->value);
  }
  return *std::move(checkpoint);
}

}  // namespace maskgrad
