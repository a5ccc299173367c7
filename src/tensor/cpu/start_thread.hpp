// A thread, or an error in one line. Internal to whoever runs threads of its own.
#pragma once

#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

/// A thread that runs f(). Throws Error "[name] cannot start <what>: ..." when the system has none.
template <class F>
std::thread start_thread(const char* name, const std::string& what, F f) {
  std::string reason;
  try {
    return std::thread(std::move(f));
  } catch (const std::system_error& error) {
    reason = error.code().message();
  } catch (const std::bad_alloc&) {
    reason = "no memory";
  }
  fail(name, "cannot start {}: {}; allow more processes and memory (ulimit -u, -v), or use fewer",
       what, reason);
}

}  // namespace maskgrad
