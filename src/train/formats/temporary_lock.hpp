// Which temporary files are being written, and which were left by processes that died.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace maskgrad {

/// Held by whoever writes a temporary file. The system lets go of it when the process ends, however
/// it ends: a file whose lock can be taken is nobody's. Where a file system knows no locks, the
/// process that the file's name ends with must be gone.
class TemporaryLock {
 public:
  TemporaryLock() = default;
  /// Locks `path`; is_held() is false when another holds it, or the path is no file any more.
  explicit TemporaryLock(const std::filesystem::path& path);
  TemporaryLock(TemporaryLock&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  TemporaryLock& operator=(TemporaryLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~TemporaryLock();

  bool is_held() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

/// `<target>.tmp.<pid>`, with the number of this process.
std::filesystem::path temporary_path(const std::filesystem::path& target);

/// The name of the target that a temporary file is for; empty for any other file.
std::string target_name(const std::filesystem::path& temporary);

/// Removes a temporary file that nobody writes any more; false when there is none or it is written.
bool remove_if_dead(const std::filesystem::path& temporary);

}  // namespace maskgrad
