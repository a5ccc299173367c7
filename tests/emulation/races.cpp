// Sees every access of kernels that were compiled with -fsanitize=thread: they call the functions
// at the end of this file, and the sanitizer's own library is not linked.
//
// Of each byte it remembers the last write and two reads: by which block and thread, and how many
// barriers of the block and of the warp that thread had passed. Two accesses are ordered when one
// thread made them, or a barrier lies between: __syncthreads() for the block, __syncwarp() for the
// warp; shuffles order no memory. Two blocks of a launch are not ordered. Two accesses that nothing
// orders, one of them a write, are a race.
#include <sys/mman.h>

#include <maskgrad/tensor/error.hpp>

#include "emulation/fibers.hpp"
#include "emulation/internal.hpp"
#include "emulation/memory.hpp"

extern "C" std::byte __executable_start, _end;

namespace maskgrad::emulation {
namespace {

struct Stamp {
  std::uint64_t block : 24, thread : 10, block_epoch : 14, warp_epoch : 14, used : 1;
};
static_assert(sizeof(Stamp) == 8);
struct Cell {
  Stamp write, read[2];
};
constexpr std::size_t kCellsBytes = kArenaBytes * sizeof(Cell);

bool is_instrumented = false;

Cell* cells() {
  static Cell* const all = static_cast<Cell*>(reserve(kCellsBytes));
  return all;
}

bool is_ordered(const Stamp& before, const Stamp& here, bool is_shared) {
  if (!before.used || before.block < serials().first_of_launch) return true;
  // The shared memory of another block is other memory at the same place.
  if (before.block != here.block) return is_shared;
  if (before.thread == here.thread || before.block_epoch < here.block_epoch) return true;
  return before.thread / 32 == here.thread / 32 && before.warp_epoch < here.warp_epoch;
}

bool is_in_program(const void* place) {  // constants
  const auto* at = static_cast<const std::byte*>(place);
  return at >= &__executable_start && at < &_end;
}

void report_race(const char* what, bool is_shared, const Stamp& before, const Stamp& here) {
  const auto block_of = [](const Stamp& s) {
    return std::uint64_t{s.block} - serials().first_of_launch;
  };
  const auto thread_of = [](const Stamp& s) { return std::uint64_t{s.thread}; };
  set_problem(fmt::format(
      "race: {} of {} memory, by thread {} of the launch's block {} and thread {} of block {}",
      what, is_shared ? "shared" : "global", thread_of(before), block_of(before), thread_of(here),
      block_of(here)));
}

void note_access(Cell& cell, const Stamp& here, bool is_write, bool is_shared) {
  if (!is_ordered(cell.write, here, is_shared)) {
    return report_race(is_write ? "two writes" : "write and read", is_shared, cell.write, here);
  }
  if (is_write) {
    for (const Stamp& read : cell.read) {
      if (!is_ordered(read, here, is_shared))
        return report_race("read and write", is_shared, read, here);
    }
    cell.write = here;
  } else if (is_ordered(cell.read[0], here, is_shared)) {
    cell.read[0] = here;
  } else {  // two of different threads since the last barrier: one of them is another's than a
            // writer
    cell.read[1] = here;
  }
}

void access(const void* place, std::size_t bytes, bool is_write) {
  if (!current || has_problem()) return;
  const std::size_t offset = offset_in_arena(place);
  if (offset >= kArenaBytes) {
    if (!is_on_a_stack(place) && !is_in_program(place)) {
      set_problem(is_write ? "a kernel writes to the host's memory"
                           : "a kernel reads the host's memory");
    }
    return;
  }
  ++counters().accesses;
  if (!is_given_out(place, bytes)) {
    return set_problem(fmt::format("thread {} {} outside of what it was given", current->linear,
                                   is_write ? "writes" : "reads"));
  }
  const Stamp here = {serials().block & 0xffffff, current->linear & 0x3ff,
                      current->block_epoch & 0x3fff, current->warp_epoch & 0x3fff, 1};
  for (std::size_t i = 0; i < bytes && !has_problem(); ++i) {
    note_access(cells()[offset + i], here, is_write, offset < kSharedRegion);
  }
}

}  // namespace

bool sees_accesses() { return is_instrumented; }

void forget_accesses() {
  if (is_instrumented) madvise(cells(), kCellsBytes, MADV_DONTNEED);
  serials() = {};
}

}  // namespace maskgrad::emulation

// What the compiler calls. A race ends the launch where the thread stops next, not here.
extern "C" {
using maskgrad::emulation::access;

void __tsan_init() { maskgrad::emulation::is_instrumented = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define MASKGRAD_ACCESSES(bytes)                                          \
  void __tsan_read##bytes(void* p) { access(p, bytes, false); }           \
  void __tsan_write##bytes(void* p) { access(p, bytes, true); }           \
  void __tsan_unaligned_read##bytes(void* p) { access(p, bytes, false); } \
  void __tsan_unaligned_write##bytes(void* p) { access(p, bytes, true); } \
  void __tsan_volatile_read##bytes(void* p) { access(p, bytes, false); }  \
  void __tsan_volatile_write##bytes(void* p) { access(p, bytes, true); }
MASKGRAD_ACCESSES(1)
MASKGRAD_ACCESSES(2)
MASKGRAD_ACCESSES(4)
MASKGRAD_ACCESSES(8)
MASKGRAD_ACCESSES(16)
void __tsan_read_range(void* p, unsigned long bytes) { access(p, bytes, false); }
void __tsan_write_range(void* p, unsigned long bytes) { access(p, bytes, true); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

// Atomics of host code in the same files: what they are without.
#define MASKGRAD_ATOMICS(bits, type)                                                              \
  type __tsan_atomic##bits##_load(const volatile type* p, int) {                                  \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                  \
  }                                                                                               \
  void __tsan_atomic##bits##_store(volatile type* p, type value, int) {                           \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                                 \
  }                                                                                               \
  type __tsan_atomic##bits##_exchange(volatile type* p, type value, int) {                        \
    return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);                                       \
  }                                                                                               \
  type __tsan_atomic##bits##_fetch_add(volatile type* p, type value, int) {                       \
    return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);                                        \
  }                                                                                               \
  type __tsan_atomic##bits##_fetch_sub(volatile type* p, type value, int) {                       \
    return __atomic_fetch_sub(p, value, __ATOMIC_SEQ_CST);                                        \
  }                                                                                               \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* p, type* expected, type value, \
                                                    int, int) {                                   \
    return __atomic_compare_exchange_n(p, expected, value, false, __ATOMIC_SEQ_CST,               \
                                       __ATOMIC_SEQ_CST);                                         \
  }
MASKGRAD_ATOMICS(8, char)
MASKGRAD_ATOMICS(16, short)
MASKGRAD_ATOMICS(32, int)
MASKGRAD_ATOMICS(64, long)
}
