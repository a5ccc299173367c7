// The smallest run that does all that runs do, to be broken on purpose.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <sstream>

#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/report/report_run.hpp>

#include "support/cli.hpp"

namespace maskgrad::test {

/// What a run comes to; for a run that was disturbed it must be the same.
struct RunEnd {
  std::string model, config, steps;
  std::string epochs;  // without seconds
  std::string best;
  std::string validation;  // the table, and the points that TensorBoard draws

  /// Names what is not equal; empty where all is.
  std::string differences(const RunEnd& other) const {
    std::string names;
    if (model != other.model) names += " model.safetensors";
    if (best != other.best) names += " best.safetensors";
    if (config != other.config) names += " config.toml";
    if (steps != other.steps) names += " steps.csv";
    if (epochs != other.epochs) names += " epochs.csv";
    if (validation != other.validation) names += " validation.csv or validation/*";
    return names;
  }
};

inline std::string without_seconds(const std::string& table) {
  std::istringstream lines(table);
  std::string text;
  for (std::string line; std::getline(lines, line);) text += line.substr(0, line.rfind(',')) + '\n';
  return text;
}

/// Steps and values of the validation points in a run's event files.
inline std::string validation_points(const std::filesystem::path& logs) {
  std::vector<std::string> warnings;
  std::string points;
  for (const Event& event : read_event_folder(logs, warnings)) {
    for (const SummaryValue& value : event.values) {
      if (!value.tag.starts_with("validation/")) continue;
      points += fmt::format("{} {} {}\n", event.step, value.tag, std::get<float>(value.value));
    }
  }
  return points;
}

/// How often a guard tries: a number from the environment, for a longer test.
inline int tries(const char* variable, int fallback) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? fallback : std::atoi(text);
}

inline bool is_asked_for(const char* variable, std::string_view value) {
  const char* const text = std::getenv(variable);
  return text != nullptr && text == value;
}

/// Data of two batches, and a run on them in `w/r` with its step log beside it. Whatever the
/// program writes is in `w`.
class TinyRun : public CliTest {
 protected:
  void SetUp() override {
#ifdef MASKGRAD_FAULTY_CALLS
    // For the programs that are started from here on; it also spares them the wait for the disk.
    ::setenv("LD_PRELOAD", MASKGRAD_FAULTY_CALLS, 1);
#endif
    ASSERT_EQ(run({"data", "arithmetic", "--out", "d", "--shards", "2", "--samples", "2"}).code, 0);
    std::filesystem::create_directory(path("w"));
  }

  static std::vector<std::string> train_args(std::vector<std::string> more) {
    std::vector<std::string> args = {"train",      "blog", "--out",      "w/r",
                                     "--progress", "off",  "--step-log", "w/steps.csv"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  static std::vector<std::string> new_run(int epochs) {
    return train_args({"--data", "d", "--val", "d", "--val-every", "1", "--checkpoint-every", "1",
                       "--shuffle", "--epochs", std::to_string(epochs)});
  }
  static std::vector<std::string> resumed_run(int epochs) {
    return train_args({"--resume", "--epochs", std::to_string(epochs)});
  }

  void clear() const {
    std::filesystem::remove_all(path("w"));
    std::filesystem::create_directory(path("w"));
  }

  RunEnd end() const {
    for (const char* file : {"model.safetensors", "config.toml", "epochs.csv"}) {
      if (!exists(std::string("w/r/") + file))
        return {
            .model = "", .config = "", .steps = "none", .epochs = "", .best = "", .validation = ""};
    }
    return {.model = read("w/r/model.safetensors"),
            .config = read("w/r/config.toml"),
            .steps = exists("w/steps.csv") ? read("w/steps.csv") : "none",
            .epochs = without_seconds(read("w/r/epochs.csv")),
            .best = exists("w/r/best.safetensors") ? read("w/r/best.safetensors") : "none",
            .validation = (exists("w/r/validation.csv") ? read("w/r/validation.csv") : "none") +
                          validation_points(path("w/r/logs"))};
  }

  /// What such a run comes to when nothing disturbs it.
  RunEnd undisturbed(int epochs) {
    clear();
    const CliResult whole = run(new_run(epochs));
    EXPECT_EQ(whole.code, 0) << whole.err;
    return end();
  }

  /// Goes on with a broken run as its messages tell the user to.
  CliResult go_on(int epochs) {
    CliResult result = run(resumed_run(epochs));
    if (result.err.find("there is no run in 'w/r' to resume") != std::string::npos)
      result = run(new_run(epochs));
    return result;
  }

  /// Names of files in `w` that only a process at work has a use for.
  std::string leftovers() const {
    std::string names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path("w"))) {
      const std::string name = entry.path().filename().string();
      if (name.find(".tmp.") != std::string::npos || name.starts_with(".before"))
        names += " " + name;
    }
    return names;
  }
};

}  // namespace maskgrad::test
