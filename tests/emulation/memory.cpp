#include "emulation/memory.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>

#include <sys/mman.h>

#include <maskgrad/tensor/error.hpp>

#include "emulation/sanitized.hpp"

namespace maskgrad::emulation {
namespace {

constexpr std::size_t kAlignment = 256, kGuard = 256;  // bytes; a guard stands behind each block

using Places = std::map<std::size_t, std::size_t>;  // bytes by offset

struct Arena {
  std::byte* const begin = static_cast<std::byte*>(reserve(kArenaBytes));
  std::uint8_t* const given_out =
      static_cast<std::uint8_t*>(reserve(kArenaBytes));  // for each byte
  Places live, free = {{kSharedRegion, kArenaBytes - kSharedRegion}};
  std::size_t next = 0, in_use = 0;               // where the search begins; bytes
  std::size_t shared_used = 0, shared_bytes = 0;  // with guards, and without
};

Arena& arena() {
  static Arena arena;
  return arena;
}

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// From where the last one was found on: what was given back is used again as late as can be.
Places::iterator find_free(std::size_t size) {
  Arena& a = arena();
  const auto fits = [&](const auto& place) { return place.second >= size; };
  const auto from = a.free.lower_bound(a.next);
  const auto found = std::find_if(from, a.free.end(), fits);
  if (found != a.free.end()) return found;
  const auto again = std::find_if(a.free.begin(), from, fits);
  return again == from ? a.free.end() : again;
}

void add_free(std::size_t offset, std::size_t size) {
  Places& free = arena().free;
  auto place = free.emplace(offset, size).first;
  const auto next = std::next(place);
  if (next != free.end() && next->first == offset + size) {
    place->second += next->second;
    free.erase(next);
  }
  if (place == free.begin()) return;
  const auto before = std::prev(place);
  if (before->first + before->second != offset) return;
  before->second += place->second;
  free.erase(place);
}

}  // namespace

void* reserve(std::size_t bytes) {
  void* const place = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(place != MAP_FAILED, "emulation", "no address space for {} bytes", bytes);
  return place;
}

// What is not given out no kernel may touch: under AddressSanitizer it names the kernel's line.
void give_out(void* place, std::size_t bytes) {
  std::fill_n(arena().given_out + offset_in_arena(place), bytes, std::uint8_t{1});
#if defined(MASKGRAD_SANITIZES_ADDRESS)
  ASAN_UNPOISON_MEMORY_REGION(place, bytes);
#endif
  std::memset(place, 0xff, bytes);
}

void take_back(void* place, std::size_t bytes) {
  std::fill_n(arena().given_out + offset_in_arena(place), bytes, std::uint8_t{0});
#if defined(MASKGRAD_SANITIZES_ADDRESS)
  ASAN_POISON_MEMORY_REGION(place, bytes);
#endif
}

#if defined(MASKGRAD_SANITIZES_ADDRESS)
// Byte by byte, as memcpy() is looked at wherever it is called.
__attribute__((no_sanitize("address"))) void copy_bytes(void* to, const void* from,
                                                        std::size_t bytes) {
  auto* const end = static_cast<volatile unsigned char*>(to);
  const auto* const begin = static_cast<const volatile unsigned char*>(from);
  for (std::size_t i = 0; i < bytes; ++i) end[i] = begin[i];
}
#else
void copy_bytes(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
#endif

void* allocate(std::size_t bytes) {
  Arena& a = arena();
  if (bytes > kArenaBytes) return nullptr;
  const std::size_t size = round_up(bytes, kAlignment) + kGuard;
  const auto found = find_free(size);
  if (found == a.free.end()) return nullptr;
  const auto [offset, room] = *found;
  a.free.erase(found);
  if (room > size) a.free.emplace(offset + size, room - size);
  a.live[offset] = size;
  a.next = offset + size;
  a.in_use += size;
  std::byte* const block = a.begin + offset;
  take_back(block, size);
  give_out(block, bytes);
  return block;
}

bool deallocate(void* block) {
  Arena& a = arena();
  const auto found = a.live.find(offset_in_arena(block));
  if (found == a.live.end()) return false;
  const auto [offset, size] = *found;
  take_back(block, size);
  a.live.erase(found);
  a.in_use -= size;
  add_free(offset, size);
  return true;
}

std::size_t bytes_in_use() { return arena().in_use; }

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
