// Where the files of a run stand.
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

namespace maskgrad {

/// The files of a run folder.
struct RunPaths {
  explicit RunPaths(std::filesystem::path run) : folder(std::move(run)) {}

  std::filesystem::path folder;
  std::filesystem::path config = folder / "config.toml";
  std::filesystem::path epochs = folder / "epochs.csv";
  std::filesystem::path validation = folder / "validation.csv";
  std::filesystem::path model = folder / "model.safetensors";
  std::filesystem::path best = folder / "best.safetensors";
  std::filesystem::path checkpoints = folder / "checkpoints";
  std::filesystem::path logs = folder / "logs";
  std::filesystem::path report = folder / "report.html";
  std::filesystem::path results = folder / "results.json";  // of a recipe that is examined
  std::filesystem::path own_data = folder / "data";
  std::filesystem::path former = folder / ".before";  // a run whose place a new one is taking

  /// The files that lie in the folder itself, not in a subfolder of it.
  std::vector<std::filesystem::path> files() const {
    return {config, epochs, validation, model, best, report, results};
  }

  bool is_run() const { return exists(config); }
  bool has_ended() const { return exists(model); }

 private:
  static bool exists(const std::filesystem::path& path) {
    std::error_code ignored;  // what cannot be looked at is not there
    return std::filesystem::exists(path, ignored);
  }
};

}  // namespace maskgrad
