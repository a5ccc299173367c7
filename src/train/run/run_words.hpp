// The words in which errors name settings and say how to go on with a run.
#pragma once

#include <string>

namespace maskgrad {

/// What the setting `key` is called in TrainingOptions.
std::string name_in_options(const std::string& key);

/// Words for errors that say what to do. As made, they speak to a program with TrainingOptions.
struct RunWords {
  std::string (*setting)(const std::string& key) = name_in_options;  // "val_every": "--val-every"
  std::string command_to_go_on = {};  // what a person types; empty: there is no such command

  /// Ends of errors of a run whose last checkpoint is kept; in the second its numbers were not
  /// finite any more with the learning rate `lr`.
  std::string way_to_go_on() const;
  std::string way_to_go_on_slower(double lr) const;
  /// The end of an error of a run that was not changed.
  std::string way_to_start_slower() const;
};

/// What an error says for std::bad_alloc.
inline constexpr const char* kNoMoreMemory = "the system has no more";

}  // namespace maskgrad
