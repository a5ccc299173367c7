// The run folder while a run is in it: nobody else's, and clean again if the run never begins.
#pragma once

#include <filesystem>
#include <vector>

#include "run_folder.hpp"

namespace maskgrad::apps {

/// The first thing in the folder that a run would overwrite; empty when there is none. `own_data`:
/// the run makes its own data.
std::filesystem::path first_in_the_way(const RunPaths& paths, bool own_data);

/// Removes what a run writes (settings, tables, weights, checkpoints, logs, report, and its own
/// data), and no file besides.
void remove_run_files(const RunPaths& paths, bool own_data);

class FolderClaim {
 public:
  enum class Purpose { kNewRun, kResume };

  /// Makes the folder if need be, and locks it. Throws Error when another process trains there.
  FolderClaim(const RunPaths& paths, Purpose purpose, bool own_data);
  /// Without keep(), a new run's files are removed again, and the folders that were made for it.
  ~FolderClaim();
  FolderClaim(const FolderClaim&) = delete;
  FolderClaim& operator=(const FolderClaim&) = delete;

  void keep() { kept_ = true; }

 private:
  void lock();

  RunPaths paths_;
  Purpose purpose_;
  bool own_data_, kept_ = false;
  std::vector<std::filesystem::path> made_;  // folders, the innermost first
  int descriptor_ = -1;
};

}  // namespace maskgrad::apps
