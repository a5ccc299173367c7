// Keeps two processes from replacing the files of one folder at the same time.
#pragma once

#include <filesystem>

namespace maskgrad {

/// Held by whoever writes files of a folder that belong together. The system lets go of it when
/// the process ends, however it ends. Where a file system knows no locks, or the folder may not be
/// read, it keeps nobody out.
class FolderLock {
 public:
  /// Throws Error "[<who>] another process is writing to 'x': wait until it has ended" where it is
  /// held, and "[file] cannot open folder 'x': <reason>".
  FolderLock(const std::filesystem::path& folder, const char* who);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace maskgrad
