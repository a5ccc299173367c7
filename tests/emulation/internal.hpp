// What the parts of the emulated device share.
#pragma once

#include <cstdint>
#include <string>

#include "emulation/emulator.hpp"

namespace maskgrad::emulation {

/// A number for each block that runs, and that of the first one of the launch.
struct Serials {
  std::uint32_t block = 0, first_of_launch = 1;
};
Serials& serials();
/// Accesses that were noted so far count no more, and numbers of blocks begin again.
void forget_accesses();

/// The launch fails with this text where the thread that runs next stops; the first one counts.
void set_problem(const std::string& text);
bool has_problem();
/// Ends the block that has a problem: nothing may be thrown through a fiber. What the caller holds
/// on the heap is lost.
[[noreturn]] void give_up();

/// "softmax.cu:31"
std::string to_string(const Place& place);

/// Lets a waiting thread of the block that runs go on, in the order that was set.
void wake(unsigned* threads, unsigned count);
/// The thread that runs waits until somebody wakes it.
void wait();

/// Collectives of warps: none is under way.
void begin_warps(unsigned warps);
/// " at softmax.cu:31" for each that waits for lanes.
std::string unfinished_collectives(unsigned warps);

}  // namespace maskgrad::emulation
