// A CUDA device on the CPU, for tests. It runs one block at a time, whose threads are fibers: each
// runs until it waits for others.
//
// It finds barriers that not all threads reach, or reach at different places; collectives of a warp
// whose lanes disagree; and shared memory that was read before it was written, which holds NaN.
// With kernels that were compiled by -fsanitize=thread it sees every access, and finds two that
// nothing orders, those outside the device's memory, and those to the host's (races.cpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Of the thread that runs. Of the program, and not of a thread of the host's: kernels run on one.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace maskgrad::emulation {

/// The order in which blocks, and the threads that can run, do. No result may depend on it.
enum class Order { kForward, kReverse, kRandom };
void set_order(Order order, std::uint64_t seed = 1);

/// Since the program started.
struct Counters {
  std::uint64_t launches = 0, blocks = 0;
  std::uint64_t accesses = 0;  // by kernels, where they are seen
  std::uint64_t uploads = 0;   // copies from the host
};
Counters& counters();

/// Whether the program was linked to kernels whose accesses are seen.
bool sees_accesses();

struct Config {
  dim3 grid, block;
};
/// Whether hardware takes such a launch.
bool is_valid(const Config& config);
/// Runs `call` once in each thread of each block. Throws Error "[name] block (0, 0, 0): ...".
void run(const Config& config, const char* name, const std::function<void()>& call);

// ---- what kernels see, by the macros of cuda_runtime.h

struct Thread {
  unsigned linear = 0, lane = 0, warp = 0;
  std::uint32_t block_epoch = 0, warp_epoch = 0;  // barriers that it has passed
};
// What this thread of the host runs; nullptr outside kernels.
extern constinit thread_local Thread* current;
/// Its lane, for kernels, of which no access to `current` may be watched.
unsigned own_lane();

/// A line of a kernel.
struct Place {
  const char* file = nullptr;
  int line = 0;

  friend bool operator==(const Place& a, const Place& b) {
    return a.line == b.line && std::strcmp(a.file, b.file) == 0;
  }
};

/// What all threads of a block said at a barrier.
struct Votes {
  bool any = false, all = true;
  int count = 0;
};
Votes sync_threads(Place place, bool vote = false);
void sync_warp(std::uint32_t mask, Place place);

/// *place &= value at once, which races with nothing. Returns what was there.
int and_to(int* place, int value);

/// All lanes of `mask` give a value of at most 32 bytes. Returns those of all 32 lanes.
using Slot = std::array<std::byte, 32>;
const Slot* exchange(std::uint32_t mask, const void* value, std::size_t bytes, Place place);

template <class T>
T shuffle(std::uint32_t mask, T value, unsigned from, Place place) {
  static_assert(sizeof(T) <= sizeof(Slot));
  const Slot* const slots = exchange(mask, &value, sizeof(T), place);
  std::memcpy(&value, slots[from & 31].data(), sizeof(T));
  return value;
}
std::uint32_t ballot(std::uint32_t mask, bool vote, Place place);

/// mma.sync.m16n8k8 of TF32 numbers, of all lanes: d += a b. Takes no notice of the 13 lowest bits
/// of a and b. Adds the terms one after another.
void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                      Place place);

/// The memory of one MASKGRAD_SHARED of the block that runs; `id` tells them apart.
void* shared_memory(std::size_t id, std::size_t bytes, std::size_t alignment);
std::size_t new_shared_id();
template <class Array, class Tag>
Array& shared(Tag) {
  static const std::size_t id = new_shared_id();
  return *static_cast<Array*>(shared_memory(id, sizeof(Array), alignof(Array)));
}

}  // namespace maskgrad::emulation
