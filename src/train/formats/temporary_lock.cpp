#include <cerrno>
#include <charconv>
#include <csignal>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maskgrad/train/formats/system_call.hpp>
#include <maskgrad/train/formats/temporary_lock.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".tmp.";

/// The number that a temporary file's name ends with.
std::optional<pid_t> process_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::size_t mark = name.rfind(kMark);
  if (mark == std::string::npos || mark == 0) return std::nullopt;
  pid_t process = 0;
  const char* const end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + mark + kMark.size(), end, process);
  if (result.ec != std::errc() || result.ptr != end || process <= 0) return std::nullopt;
  return process;
}

/// Whether the process that the name tells is over; one of this number that is not this one is.
bool is_gone(const fs::path& path) {
  const std::optional<pid_t> process = process_of(path);
  return process && (*process == ::getpid() || (::kill(*process, 0) != 0 && errno == ESRCH));
}

/// Whether the path still leads to the file that is open.
bool is_same_file(int descriptor, const fs::path& path) {
  struct stat open_file {
  }, named{};
  return ::fstat(descriptor, &open_file) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         S_ISREG(open_file.st_mode) && open_file.st_dev == named.st_dev &&
         open_file.st_ino == named.st_ino;
}

}  // namespace

TemporaryLock::TemporaryLock(const fs::path& path) {
  const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  descriptor_ = again_if_interrupted([&] { return ::open(path.c_str(), flags); });
  if (descriptor_ < 0) return;
  const bool is_free =
      again_if_interrupted([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); }) == 0;
  const bool is_locked = is_free || (errno != EWOULDBLOCK && is_gone(path));
  // Whoever held it before may have removed or renamed the file.
  if (is_locked && is_same_file(descriptor_, path)) return;
  ::close(std::exchange(descriptor_, -1));
}

TemporaryLock::~TemporaryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

fs::path temporary_path(const fs::path& target) {
  fs::path path = target;
  path += std::string(kMark) + std::to_string(::getpid());
  return path;
}

std::string target_name(const fs::path& temporary) {
  const std::string name = temporary.filename().string();
  return process_of(temporary) ? name.substr(0, name.rfind(kMark)) : std::string();
}

bool remove_if_dead(const fs::path& temporary) {
  const TemporaryLock lock(temporary);
  return lock.is_held() && ::unlink(temporary.c_str()) == 0;
}

}  // namespace maskgrad
