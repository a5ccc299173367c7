// Stacks that run by turns on one thread of the host.
#pragma once

#include <cstddef>

namespace maskgrad::emulation {

struct Fiber {
  std::byte* stack = nullptr;  // nullptr: the thread's own
  void* stopped_at = nullptr;
  void* fake_stack = nullptr;  // AddressSanitizer's
};

inline constexpr std::size_t kStackBytes = std::size_t{128} << 10;
inline constexpr std::size_t kMostFibers = 1024;

/// The thread that started them.
Fiber& main_fiber();
/// Goes on with `to`, until somebody goes on with `from`.
void switch_to(Fiber& from, Fiber& to);
/// One that nobody uses; it begins with `body`, which never returns, or goes on where it stopped.
Fiber& take_fiber(void (*body)());
/// It will be taken again.
void give_back(Fiber& fiber);
/// All of them end where they stopped. Nothing on their stacks is destroyed.
void abandon_fibers();
/// What a fiber does first.
void note_start();

/// Whether a place is on a fiber's stack, or on that of the thread that started them.
bool is_on_a_stack(const void* place);

}  // namespace maskgrad::emulation
