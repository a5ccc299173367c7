// The settings that every run has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/run/run_words.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// The settings of a run of `name`, which is the value of `recipe`. Defaults are those of
/// TrainingOptions, but for `threads`: 1, where the options take those of the process. `own`
/// changes defaults of these settings, and adds further ones. One of these that says why it stays
/// is the same in a run that goes on.
std::vector<Setting> training_settings(const std::string& name, std::vector<Setting> own = {});

/// Throws Error for settings that contradict each other, such as `math` tf32 on the CPU, and for a
/// device that cannot be used.
/// `validates`: there are data for it.
void check_training_settings(const Settings& settings, bool validates, const RunWords& words = {});

}  // namespace maskgrad
