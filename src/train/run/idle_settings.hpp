// Settings that do nothing beside others. Internal to src/train.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/train/run/run_words.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// A line for each setting whose value is not that of `defaults`, and which does nothing: it is
/// part of an optimizer or a schedule that the settings do not name. "--momentum 0.9 does nothing:
/// --optimizer is adam, and only sgd has it".
std::vector<std::string> idle_settings(const Settings& settings, const Settings& defaults,
                                       const RunWords& words);

}  // namespace maskgrad
