// The program's own definitions of these calls go before those of the C library, for all code that
// is linked into it.
#include "train/formats/faults.hpp"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

namespace maskgrad::test {
namespace {

std::atomic<int> calls_left = 0;  // until the fault; 0: none is to come
std::atomic<bool> is_for_good = false;
Fault planned = Fault::kRefused;

bool is_due(bool is_write = false) {
  if (is_for_good) return true;
  if (calls_left == 0 || (planned == Fault::kShort && !is_write)) return false;
  if (--calls_left > 0) return false;
  if (planned == Fault::kDeath) ::_exit(9);
  is_for_good = planned == Fault::kRefusedForGood;
  return true;
}

int fail_call() {
  errno = planned == Fault::kInterrupted ? EINTR : ENOSPC;
  return -1;
}

template <class Call>
Call* real(const char* name) {
  return reinterpret_cast<Call*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

FaultAt::FaultAt(Fault fault, int at) {
  planned = fault;
  calls_left = at;
}

FaultAt::~FaultAt() {
  calls_left = 0;
  is_for_good = false;
}

bool FaultAt::was_reached() const { return calls_left == 0; }

}  // namespace maskgrad::test

using namespace maskgrad::test;

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  static auto* const call = real<int(const char*, int, ...)>("open");
  return is_due() ? fail_call() : call(path, flags, mode);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  static auto* const call = real<ssize_t(int, const void*, size_t)>("write");
  if (!is_due(true)) return call(descriptor, bytes, count);
  return planned == Fault::kShort ? call(descriptor, bytes, 1) : fail_call();
}

int ftruncate(int descriptor, off_t size) noexcept {
  static auto* const call = real<int(int, off_t)>("ftruncate");
  return is_due() ? fail_call() : call(descriptor, size);
}

int fsync(int descriptor) {
  static auto* const call = real<int(int)>("fsync");
  return is_due() ? fail_call() : call(descriptor);
}

int close(int descriptor) {
  static auto* const call = real<int(int)>("close");
  const bool due = is_due();
  const int result = call(descriptor);
  return due ? fail_call() : result;
}

int rename(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("rename");
  return is_due() ? fail_call() : call(from, to);
}

}  // extern "C"
