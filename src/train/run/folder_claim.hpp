// Locks a run folder for one run, and restores the folder if the run saves nothing.
#pragma once

#include <filesystem>
#include <vector>

#include <maskgrad/train/run/run_files.hpp>

namespace maskgrad {

/// Locks a run folder for as long as it lives. Whoever means to write to the folder, or to go on
/// from what is in it, takes the claim first and looks afterwards.
class FolderClaim {
 public:
  enum class Purpose { kNewRun, kResume };

  /// Makes the folder for a new run if need be, locks it, and tidies up after processes that died
  /// in it. Throws Error when another process trains there, and UsageError when there is no folder
  /// to resume in.
  FolderClaim(const RunPaths& paths, Purpose purpose);
  /// Where the run has saved nothing, the folder is as it was before.
  ~FolderClaim();
  FolderClaim(const FolderClaim&) = delete;
  FolderClaim& operator=(const FolderClaim&) = delete;

  /// Puts a former run's files aside; to be called before the new run writes its first.
  void begin_new_run(bool own_data);
  /// The run has saved something: the former run is gone for good, and the folder stays.
  void keep();
  bool is_kept() const { return kept_; }
  /// True when the run in the folder to resume stopped before it saved anything.
  bool saved_nothing_yet() const { return former_.is_aside(); }
  /// Throws Error when the path leads to another folder than the one that is locked: somebody moved
  /// or replaced it. To be called before anything is written to it.
  void check_place() const;
  bool is_in_place() const;

 private:
  bool lock();
  void undo();
  void remove_made_folders() const;

  RunPaths paths_;
  FormerRun former_;
  std::vector<std::filesystem::path> made_;  // folders, the innermost last
  bool begun_ = false, kept_ = false;
  int descriptor_ = -1;
};

}  // namespace maskgrad
