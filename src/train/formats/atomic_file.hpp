// A file that appears whole or not at all.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/temporary_lock.hpp>

namespace maskgrad {

/// Writes a temporary file `<target>.tmp.<pid>` beside the target. commit() renames it to the
/// target. So neither a reader, nor a crash, nor a full disk ever leaves or meets half a file.
/// Without commit() the target stays as it was, and the temporary file is removed. One that a
/// killed process left is removed by remove_dead_temporaries(). A target that is a symbolic link
/// stays one. A target that is a device or a pipe (/dev/stdout) cannot be replaced and is written
/// directly.
class AtomicFile {
 public:
  /// Throws Error "[file] cannot create 'x': <reason>". Errors name the target, here and below.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error "[file] cannot write 'x': No space left on device".
  void write(std::string_view bytes);
  /// Flushes the file to the disk and lets go of it, so that commit() has only its name to give.
  /// Of files that belong together, the last may so fail before the first has its name. Nothing may
  /// be written after it. Another process that makes the same target may now take the temporary
  /// file for one that was left, and remove it: a FolderLock keeps it out. Throws Error where that
  /// fails.
  void finish();
  /// Gives the finished file its name. That lasts only once sync_folder() has been called for its
  /// folder. Throws Error where that fails.
  void take_name();
  /// finish(), and gives the file its name. It must be the last call. Throws Error where that
  /// fails. The target is then as it was, unless only its folder could not be flushed.
  void commit();

 private:
  void close();

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty when the target is written directly
  TemporaryLock lock_;
  std::optional<OutputFile> file_;
};

/// Flushes to the disk which files a folder holds. Throws Error "[file] cannot write folder 'x':
/// <reason>", and where it cannot be opened, unless it may not be read.
void sync_folder(const std::filesystem::path& folder);

/// False for a device or a pipe: no other file can take its place.
bool can_be_replaced(const std::filesystem::path& path);

/// Throws Error "[<who>] 'x' is there already, and is no <what>: name another file" where the
/// regular file does not begin with `start`. An empty file may be replaced. A path that was given
/// by mistake so costs no file.
void check_may_replace(const std::filesystem::path& path, std::string_view start, const char* who,
                       const char* what);

/// Removes the temporary files of this target that dead processes left. Throws as list_folder().
void remove_dead_temporaries_of(const std::filesystem::path& target);

/// Replaces the file's content in one step. Throws as AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace maskgrad
