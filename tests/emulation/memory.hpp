// The memory of the emulated device: one arena, at its beginning the shared memory of the block
// that runs. The host's pinned memory is in it, too, as kernels may use it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace maskgrad::emulation {

inline constexpr std::size_t kArenaBytes = std::size_t{1} << 30;
inline constexpr std::size_t kSharedBytes = std::size_t{48} << 10;  // of one block
inline constexpr std::size_t kSharedRegion = std::size_t{128} << 10;

/// Contents are bytes of ones: NaN, -1. Returns nullptr when there is no more.
void* allocate(std::size_t bytes);
/// False for what was not allocated.
bool deallocate(void* block);
/// Of blocks that were allocated and not given back.
std::size_t bytes_in_use();

/// Part of a block is handed out, with bytes of ones; or nobody may touch it until it is again.
void give_out(void* place, std::size_t bytes);
void take_back(void* place, std::size_t bytes);
/// memcpy() for the device, which copies what nobody may touch.
void copy_bytes(void* to, const void* from, std::size_t bytes);

/// Where in the arena a place is; kArenaBytes or more when it is elsewhere.
std::size_t offset_in_arena(const void* place);
/// Whether the bytes belong to one block, or to the shared memory that the running block has asked
/// for.
bool is_given_out(const void* place, std::size_t bytes);

/// All shared memory is free again.
void begin_block();
/// Shared memory of the block that runs, bytes of ones; nullptr when it has had 48 KiB.
void* allocate_shared(std::size_t bytes, std::size_t alignment);

/// Anonymous memory that costs nothing until it is touched, and holds 0.
void* reserve(std::size_t bytes);

}  // namespace maskgrad::emulation
