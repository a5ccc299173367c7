#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/folder_lock.hpp>
#include <maskgrad/train/formats/system_call.hpp>

namespace maskgrad {

FolderLock::FolderLock(const std::filesystem::path& folder, const char* who) {
  descriptor_ = again_if_interrupted(
      [&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor_ < 0) {
    if (errno == EACCES) return;  // a folder may be writable and not readable
    fail_file("cannot open folder", folder, errno);
  }
  const bool is_held =
      again_if_interrupted([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); }) == 0;
  if (is_held || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  fail(who, "another process is writing to '{}': wait until it has ended", folder.string());
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace maskgrad
