// Which files of a folder are a run's, and how a new run takes their place.
#pragma once

#include <filesystem>
#include <vector>

#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/run/run_words.hpp>

namespace maskgrad {

/// Throws UsageError where the folder holds anything that a new run would overwrite. `own_data`:
/// the run makes its own data.
void check_holds_no_run(const RunPaths& paths, bool own_data, const RunWords& words);

/// Throws UsageError "[command] ..." where `path`, which the user asks to be written, is one of the
/// run's own files, there or not.
void check_is_no_file_of(const RunPaths& paths, const std::filesystem::path& path,
                         const char* command);

/// The same for the files of whatever run they are in.
void check_is_of_no_run(const std::filesystem::path& path, const char* command);

/// Removes the files that a process left half-written when it died, in a folder that no other
/// process trains in. Throws Error where a folder cannot be read.
void remove_half_written(const RunPaths& paths);

/// The files of a former run in a folder that a new run takes. They can be put back, also after a
/// crash, until the new run has saved something. Then they are removed. Only a run's own files are
/// moved: settings, table, weights, report, checkpoints and event files, and the data where the new
/// run makes its own. They wait in `.before`, a folder in the run folder. All members throw Error
/// where the system refuses.
class FormerRun {
 public:
  explicit FormerRun(const RunPaths& paths) : paths_(paths) {}

  /// Completes what a dead process began. A move that was under way is undone, and a removal is
  /// finished. Files that were all put aside stay aside.
  void recover();
  /// True from put_aside() until put_back() or remove().
  bool is_aside() const;
  void put_aside(bool own_data);
  /// Removes the new run's files, and puts the former ones back.
  void put_back();
  void remove();

 private:
  // Where files wait: while they are moved, once all are there, and when nobody wants them any
  // more.
  std::filesystem::path moving() const { return paths_.folder / ".before.moving"; }
  std::filesystem::path aside() const { return paths_.former; }
  std::filesystem::path unwanted() const { return paths_.folder / ".before.unwanted"; }

  RunPaths paths_;
};

}  // namespace maskgrad
