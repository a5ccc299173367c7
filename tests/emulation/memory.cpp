#include "emulation/memory.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::emulation {
namespace {

constexpr std::size_t kAlignment = 256, kGuard = 256;  // bytes; a guard stands behind each block

struct Arena {
  std::byte* const begin = static_cast<std::byte*>(reserve(kArenaBytes));
  std::uint8_t* const given_out =
      static_cast<std::uint8_t*>(reserve(kArenaBytes));  // for each byte
  std::size_t used = kSharedRegion;
  std::map<void*, std::size_t> live;
  std::multimap<std::size_t, void*> free_blocks;  // by size
  std::size_t shared_used = 0, shared_bytes = 0;  // with guards, and without
};

Arena& arena() {
  static Arena arena;
  return arena;
}

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// What is not given out no kernel may touch: under AddressSanitizer it names the kernel's line.
void give_out(std::byte* place, std::size_t bytes) {
  std::fill_n(arena().given_out + (place - arena().begin), bytes, std::uint8_t{1});
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(place, bytes);
#endif
  std::memset(place, 0xff, bytes);
}
void take_back(std::byte* place, std::size_t bytes) {
  std::fill_n(arena().given_out + (place - arena().begin), bytes, std::uint8_t{0});
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(place, bytes);
#endif
}

}  // namespace

void* reserve(std::size_t bytes) {
  void* const place = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(place != MAP_FAILED, "emulation", "no address space for {} bytes", bytes);
  return place;
}

void* allocate(std::size_t bytes) {
  Arena& a = arena();
  const std::size_t size = round_up(bytes, kAlignment) + kGuard;
  std::byte* block = nullptr;
  if (const auto found = a.free_blocks.find(size); found != a.free_blocks.end()) {
    block = static_cast<std::byte*>(found->second);
    a.free_blocks.erase(found);
  } else {
    if (size > kArenaBytes - a.used) return nullptr;
    block = a.begin + a.used;
    a.used += size;
    take_back(block, size);
  }
  a.live[block] = size;
  give_out(block, bytes);
  return block;
}

bool deallocate(void* block) {
  Arena& a = arena();
  const auto found = a.live.find(block);
  if (found == a.live.end()) return false;
  take_back(static_cast<std::byte*>(block), found->second);
  a.free_blocks.emplace(found->second, block);
  a.live.erase(found);
  return true;
}

std::size_t blocks_in_use() { return arena().live.size(); }

std::size_t offset_in_arena(const void* place) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(place) - arena().begin);
}

// A guard stands between any two blocks, so bytes of two would have some of it between them.
bool is_given_out(const void* place, std::size_t bytes) {
  const std::size_t offset = offset_in_arena(place);
  if (offset >= kArenaBytes || bytes > kArenaBytes - offset) return false;
  const std::uint8_t* const flags = arena().given_out + offset;
  return std::all_of(flags, flags + bytes, [](std::uint8_t flag) { return flag == 1; });
}

void begin_block() {
  Arena& a = arena();
  take_back(a.begin, a.shared_used);
  a.shared_used = a.shared_bytes = 0;
}

void* allocate_shared(std::size_t bytes, std::size_t alignment) {
  Arena& a = arena();
  a.shared_bytes = round_up(a.shared_bytes, alignment) + bytes;
  const std::size_t offset = round_up(a.shared_used, std::max(alignment, std::size_t{64}));
  const std::size_t end = round_up(offset + bytes + 8, 64);
  if (a.shared_bytes > kSharedBytes || end > kSharedRegion) return nullptr;
  a.shared_used = end;
  give_out(a.begin + offset, bytes);
  return a.begin + offset;
}

}  // namespace maskgrad::emulation
