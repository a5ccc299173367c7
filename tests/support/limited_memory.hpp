// A program that may have little more memory than it has.
#pragma once

#include <fstream>

#include <sys/resource.h>
#include <unistd.h>

namespace maskgrad::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/// A sanitizer ends the program when the system refuses memory.
inline constexpr bool kCanLimitMemory = false;
#else
inline constexpr bool kCanLimitMemory = true;
#endif

/// While one lives, this program's memory may grow by no more than `bytes`.
class LimitedMemory {
 public:
  explicit LimitedMemory(rlim_t bytes) {
    getrlimit(RLIMIT_AS, &former_);
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    const rlim_t now = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
    const rlimit limit = {now + bytes, former_.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~LimitedMemory() { setrlimit(RLIMIT_AS, &former_); }
  LimitedMemory(const LimitedMemory&) = delete;
  LimitedMemory& operator=(const LimitedMemory&) = delete;

 private:
  rlimit former_{};
};

}  // namespace maskgrad::test
