// System calls that signals may interrupt.
#pragma once

#include <cerrno>

namespace maskgrad {

/// Repeats `call` while a signal interrupts it, and returns its result.
template <class Call>
auto again_if_interrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace maskgrad
