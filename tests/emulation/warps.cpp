// What the lanes of a warp do together.
#include <bit>

#include <maskgrad/tensor/error.hpp>

#include "emulation/internal.hpp"

namespace maskgrad::emulation {
namespace {

// Lanes in one collective; found by the warp, and by its lowest lane.
struct Group {
  std::uint32_t mask = 0, arrived = 0;
  Place place;
  // By turns: some lanes may be in the next one before the others have read.
  unsigned turn = 0;
  std::array<std::array<Slot, 32>, 2> slots;
};
std::array<std::array<Group, 32>, 32> groups;

// Returns what all lanes gave.
const Slot* collect(std::uint32_t mask, const void* value, std::size_t bytes, const Place& place) {
  const Thread& me = *current;
  if (!(mask >> me.lane & 1)) {
    set_problem("a lane is not in its own mask at " + to_string(place));
    give_up();
  }
  Group& group = groups[me.warp][static_cast<std::size_t>(std::countr_zero(mask))];
  if (group.arrived == 0) {
    group.mask = mask;
    group.place = place;
  } else if (group.mask != mask || !(group.place == place)) {
    set_problem(fmt::format("lanes of a warp disagree: {} and {}", to_string(group.place),
                            to_string(place)));
    give_up();
  }
  const unsigned turn = group.turn;
  if (bytes) std::memcpy(group.slots[turn][me.lane].data(), value, bytes);
  group.arrived |= 1U << me.lane;
  if (group.arrived != mask) {
    wait();
    return group.slots[turn].data();
  }
  group.arrived = 0;
  group.turn ^= 1;
  std::array<unsigned, 32> woken;
  unsigned count = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1 && lane != me.lane) woken[count++] = me.warp * 32 + lane;
  }
  wake(woken.data(), count);
  return group.slots[turn].data();
}

}  // namespace

void begin_warps(unsigned warps) {
  for (unsigned w = 0; w < warps; ++w) {
    for (Group& group : groups[w]) group.arrived = 0;
  }
}

std::string unfinished_collectives(unsigned warps) {
  std::string text;
  for (unsigned w = 0; w < warps; ++w) {
    for (const Group& group : groups[w]) {
      if (group.arrived)
        text += fmt::format(" at {} for lanes that do not come", to_string(group.place));
    }
  }
  return text;
}

void sync_warp(std::uint32_t mask, Place place) {
  collect(mask, nullptr, 0, place);
  ++current->warp_epoch;
}

const Slot* exchange(std::uint32_t mask, const void* value, std::size_t bytes, Place place) {
  return collect(mask, value, bytes, place);
}

unsigned own_lane() { return current->lane; }

std::uint32_t ballot(std::uint32_t mask, bool vote, Place place) {
  const Slot* const slots = collect(mask, &vote, sizeof vote, place);
  std::uint32_t bits = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1 && slots[lane][0] != std::byte{0}) bits |= 1U << lane;
  }
  return bits;
}

}  // namespace maskgrad::emulation
