// Loaded into the program before the C library, so that its calls come here first: counts those
// that touch a folder, and spoils one of them. See fault_kinds.hpp.
//
// fsync() does nothing: the tests kill the process and not the machine, and are faster so.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/faulty_calls/fault_kinds.hpp"

namespace {

using maskgrad::test::FaultKind;

template <class Call>
Call* real(const char* name) {
  return reinterpret_cast<Call*>(::dlsym(RTLD_NEXT, name));
}

struct Plan {
  FaultKind kind = FaultKind::kRefused;
  int at = 0;
  char folder[1024] = "", count_file[1024] = "";
  std::atomic<int> calls = 0;
  std::atomic<bool> is_ours[1024] = {};  // open files and folders

  Plan() {
    int number = 0;
    const char* const text = std::getenv("MASKGRAD_FAULT");
    if (text == nullptr) return;
    if (std::sscanf(text, "%d %d %1023s %1023s", &number, &at, folder, count_file) != 4) ::abort();
    kind = static_cast<FaultKind>(number);
  }
  // Not by the calls that are counted.
  ~Plan() {
    if (count_file[0] == '\0') return;
    std::FILE* const file = std::fopen(count_file, "w");
    std::fprintf(file, "%d", calls.load());
    std::fclose(file);
  }
};

Plan& plan() {
  static Plan one;
  return one;
}

bool is_within(int descriptor) {
  return descriptor >= 0 && descriptor < 1024 && plan().is_ours[descriptor];
}

bool is_within(const char* path) {
  if (plan().folder[0] == '\0') return false;
  char here[2048] = "";
  if (path[0] != '/' && ::getcwd(here, sizeof here) == nullptr) return false;
  const std::string whole = path[0] == '/' ? path : std::string(here) + "/" + path;
  return whole.compare(0, std::strlen(plan().folder), plan().folder) == 0;
}

enum class Sort { kPlain, kInterruptible, kRead, kWrite };

bool can_befall(FaultKind kind, Sort sort, std::size_t bytes) {
  switch (kind) {
    case FaultKind::kInterrupted:
      return sort != Sort::kPlain;
    case FaultKind::kShort:
      return (sort == Sort::kRead || sort == Sort::kWrite) && bytes > 1;
    case FaultKind::kKilledWithin:
      return sort == Sort::kWrite && bytes > 1;
    default:
      return true;
  }
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// Does `call(bytes)` or what the plan makes of it.
template <class Call>
auto spoiled(bool is_ours, Sort sort, int code, std::size_t bytes, Call call)
    -> decltype(call(bytes)) {
  if (!is_ours || !can_befall(plan().kind, sort, bytes)) return call(bytes);
  const int number = ++plan().calls;
  const bool is_for_good = plan().kind == FaultKind::kRefusedForGood;
  if (plan().at == 0 || number < plan().at || (number > plan().at && !is_for_good))
    return call(bytes);
  switch (plan().kind) {
    case FaultKind::kInterrupted:
      code = EINTR;
      break;
    case FaultKind::kShort:
      return call(1);
    case FaultKind::kKilledBefore:
      die();
    case FaultKind::kKilledAfter:
      call(bytes);
      die();
    case FaultKind::kKilledWithin:
      call(bytes / 2);
      die();
    default:
      break;
  }
  errno = code;
  return -1;
}

int noted(int descriptor, bool is_ours) {
  if (descriptor >= 0 && descriptor < 1024) plan().is_ours[descriptor] = is_ours;
  return descriptor;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  static auto* const call = real<int(const char*, int, ...)>("open");
  const bool is_ours = is_within(path);
  const int code = (flags & O_CREAT) != 0 ? ENOSPC : EIO;
  return noted(spoiled(is_ours, Sort::kInterruptible, code, 0,
                       [&](std::size_t) { return call(path, flags, mode); }),
               is_ours);
}

// Of the C++ library's, which lists folders with it and knows no EINTR.
int openat(int folder, const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  static auto* const call = real<int(int, const char*, int, ...)>("openat");
  const bool is_ours = folder == AT_FDCWD ? is_within(path) : is_within(folder);
  return noted(spoiled(is_ours, Sort::kPlain, EIO, 0,
                       [&](std::size_t) { return call(folder, path, flags, mode); }),
               is_ours);
}

ssize_t read(int descriptor, void* bytes, size_t count) {
  static auto* const call = real<ssize_t(int, void*, size_t)>("read");
  return spoiled(is_within(descriptor), Sort::kRead, EIO, count,
                 [&](std::size_t part) { return call(descriptor, bytes, part); });
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  static auto* const call = real<ssize_t(int, const void*, size_t)>("write");
  return spoiled(is_within(descriptor), Sort::kWrite, ENOSPC, count,
                 [&](std::size_t part) { return call(descriptor, bytes, part); });
}

int ftruncate(int descriptor, off_t size) noexcept {
  static auto* const call = real<int(int, off_t)>("ftruncate");
  return spoiled(is_within(descriptor), Sort::kInterruptible, EIO, 0,
                 [&](std::size_t) { return call(descriptor, size); });
}

int fsync(int descriptor) {
  return spoiled(is_within(descriptor), Sort::kInterruptible, EIO, 0,
                 [](std::size_t) { return 0; });
}

// Is done in any case, as the system does it.
int close(int descriptor) {
  static auto* const call = real<int(int)>("close");
  int result = 0;
  bool is_done = false;
  const auto once = [&](std::size_t) {
    if (!std::exchange(is_done, true)) result = call(descriptor);
    return result;
  };
  const bool is_ours = is_within(descriptor);
  noted(descriptor, false);
  const int answer = spoiled(is_ours, Sort::kInterruptible, EIO, 0, once);
  const int code = errno;
  once(0);
  errno = code;
  return answer;
}

int rename(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("rename");
  return spoiled(is_within(to), Sort::kPlain, ENOSPC, 0,
                 [&](std::size_t) { return call(from, to); });
}

int unlink(const char* path) noexcept {
  static auto* const call = real<int(const char*)>("unlink");
  return spoiled(is_within(path), Sort::kPlain, EIO, 0, [&](std::size_t) { return call(path); });
}

int remove(const char* path) noexcept {
  static auto* const call = real<int(const char*)>("remove");
  return spoiled(is_within(path), Sort::kPlain, EIO, 0, [&](std::size_t) { return call(path); });
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const call = real<int(const char*, mode_t)>("mkdir");
  return spoiled(is_within(path), Sort::kPlain, ENOSPC, 0,
                 [&](std::size_t) { return call(path, mode); });
}

int rmdir(const char* path) noexcept {
  static auto* const call = real<int(const char*)>("rmdir");
  return spoiled(is_within(path), Sort::kPlain, EIO, 0, [&](std::size_t) { return call(path); });
}

int flock(int descriptor, int operation) noexcept {
  static auto* const call = real<int(int, int)>("flock");
  return spoiled(is_within(descriptor), Sort::kInterruptible, ENOLCK, 0,
                 [&](std::size_t) { return call(descriptor, operation); });
}

}  // extern "C"
