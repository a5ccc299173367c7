// System calls that signals may interrupt.
#pragma once

#include <cerrno>

namespace maskgrad {

/// What `call` returns once no signal interrupts it.
template <class Call>
auto again_if_interrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace maskgrad
