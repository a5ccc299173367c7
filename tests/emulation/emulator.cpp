// Launches, the threads of a block, and its barriers.
#include "emulation/emulator.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include <maskgrad/tensor/error.hpp>

#include "emulation/fibers.hpp"
#include "emulation/internal.hpp"
#include "emulation/memory.hpp"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace maskgrad::emulation {

constinit thread_local Thread* current = nullptr;

namespace {

constexpr std::size_t kMostThreads = 1024;

Order order = Order::kForward;
std::mt19937_64 shuffler(1);

struct State {
  Thread thread;
  dim3 index;
  Fiber* fiber = nullptr;  // nullptr before it starts
  bool waits = false, done = false;
};

// The block that runs. In place: what kernels read of it lies in the program's own memory, where
// the check of accesses expects it.
struct Run {
  std::array<State, kMostThreads> threads;
  unsigned count = 0;  // of threads
  const std::function<void()>* call = nullptr;
  std::vector<unsigned> unstarted, ready;  // the last one runs first
  State* now = nullptr;
  std::string problem;

  // The barrier of the block that some have reached.
  unsigned alive = 0, waiting = 0;
  Place barrier;
  Votes votes, result;
};
Run r;

void become(State& thread) {
  r.now = &thread;
  current = &thread.thread;
  threadIdx = thread.index;
}

// Turns a list into a stack.
template <class T>
void arrange(T begin, T end) {
  if (order == Order::kForward) std::reverse(begin, end);
  if (order == Order::kRandom) std::shuffle(begin, end, shuffler);
}

void pass_barrier() {
  std::array<unsigned, kMostThreads> woken;
  unsigned count = 0;
  r.result = std::exchange(r.votes, {});
  r.waiting = 0;
  r.barrier = {};
  for (unsigned t = 0; t < r.count; ++t) {
    State& thread = r.threads[t];
    if (thread.done) continue;
    ++thread.thread.block_epoch;
    if (thread.waits) woken[count++] = t;
  }
  wake(woken.data(), count);
}

void finish(State& thread) {
  thread.done = true;
  --r.alive;
  if (r.alive > 0 && r.waiting == r.alive) pass_barrier();
}

// A fiber runs threads that have not started, one after the other, until one of them has to wait:
// then it is that thread's.
void run_threads() {
  note_start();
  for (;;) {
    Fiber& self = *r.now->fiber;
    (*r.call)();
    finish(*r.now);
    if (!r.unstarted.empty() && r.problem.empty()) {
      become(r.threads[r.unstarted.back()]);
      r.unstarted.pop_back();
      r.now->fiber = &self;
      continue;
    }
    give_back(self);
    switch_to(self, main_fiber());
  }
}

void set_up_threads() {
  r.alive = r.count;
  r.waiting = 0;
  r.barrier = {};
  r.votes = {};
  r.ready.clear();
  r.unstarted.resize(r.count);
  std::iota(r.unstarted.begin(), r.unstarted.end(), 0U);
  for (const unsigned t : r.unstarted) {
    State thread;
    thread.thread.linear = t, thread.thread.lane = t % 32, thread.thread.warp = t / 32;
    thread.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
    r.threads[t] = thread;
  }
  arrange(r.unstarted.begin(), r.unstarted.end());
  begin_warps((r.count + 31) / 32);
}

// Until all threads are done, or wait for ever.
void run_block() {
  while (r.problem.empty() && !(r.ready.empty() && r.unstarted.empty())) {
    std::vector<unsigned>& from = r.ready.empty() ? r.unstarted : r.ready;
    become(r.threads[from.back()]);
    from.pop_back();
    if (!r.now->fiber) r.now->fiber = &take_fiber(run_threads);
    switch_to(main_fiber(), *r.now->fiber);
  }
  current = nullptr;
  if (!r.problem.empty() || r.alive == 0) return;
  r.problem = fmt::format("{} threads wait for ever{}{}", r.alive,
                          r.barrier.file ? " at " + to_string(r.barrier) : "",
                          unfinished_collectives((r.count + 31) / 32));
}

std::vector<std::uint32_t> order_of_blocks(const dim3& grid) {
  std::vector<std::uint32_t> blocks(std::size_t{grid.x} * grid.y * grid.z);
  std::iota(blocks.begin(), blocks.end(), 0U);
  arrange(blocks.begin(), blocks.end());
  std::reverse(blocks.begin(), blocks.end());
  return blocks;
}

}  // namespace

void set_order(Order to, std::uint64_t seed) {
  order = to;
  shuffler.seed(seed);
}

Counters& counters() {
  static Counters counters;
  return counters;
}

Serials& serials() {
  static Serials serials;
  return serials;
}

std::string to_string(const Place& place) {
  const std::string path = place.file;
  return fmt::format("{}:{}", path.substr(path.rfind('/') + 1), place.line);
}

void set_problem(const std::string& text) {
  if (r.problem.empty()) r.problem = text;
}
bool has_problem() { return !r.problem.empty(); }

void give_up() {
  switch_to(*r.now->fiber, main_fiber());
  __builtin_unreachable();
}

void wake(unsigned* threads, unsigned count) {
  arrange(threads, threads + count);
  for (unsigned i = 0; i < count; ++i) {
    r.threads[threads[i]].waits = false;
    r.ready.push_back(threads[i]);
  }
}

void wait() {
  State& me = *r.now;
  me.waits = true;
  switch_to(*me.fiber, main_fiber());
}

int and_to(int* place, int value) {
  if (!is_given_out(place, sizeof *place)) {
    set_problem("an atomic operation is outside of what was given out");
    return 0;
  }
  return std::exchange(*place, *place & value);
}

Votes sync_threads(Place place, bool vote) {
  if (r.barrier.file && !(r.barrier == place)) {
    set_problem(fmt::format("threads wait at different barriers: {} and {}", to_string(r.barrier),
                            to_string(place)));
    give_up();
  }
  r.barrier = place;
  r.votes.any |= vote;
  r.votes.all &= vote;
  r.votes.count += vote;
  if (++r.waiting == r.alive) {
    pass_barrier();
  } else {
    wait();
  }
  return r.result;
}

bool is_valid(const Config& config) {
  const std::size_t threads = std::size_t{config.block.x} * config.block.y * config.block.z;
  const dim3 grid = config.grid;
  return threads >= 1 && threads <= kMostThreads && config.block.z <= 64 && grid.x >= 1 &&
         grid.x <= 0x7fffffff && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 && grid.z <= 65535;
}

void run(const Config& config, const char* name, const std::function<void()>& call) {
  constexpr std::uint32_t kMostSerials = 1 << 24;  // of accesses that are remembered
  check(!current, name, "was launched within a kernel");
  const std::vector<std::uint32_t> blocks = order_of_blocks(config.grid);
  if (serials().block + blocks.size() >= kMostSerials) forget_accesses();
  serials().first_of_launch = serials().block + 1;
  ++counters().launches;
  r.call = &call;
  r.count = config.block.x * config.block.y * config.block.z;
  blockDim = config.block;
  gridDim = config.grid;
  for (const std::uint32_t n : blocks) {
    blockIdx = {n % gridDim.x, n / gridDim.x % gridDim.y, n / gridDim.x / gridDim.y};
    ++counters().blocks;
    ++serials().block;
    begin_block();
    set_up_threads();
    run_block();
    if (r.problem.empty()) continue;
    abandon_fibers();
    fail(name, "block ({}, {}, {}): {}", blockIdx.x, blockIdx.y, blockIdx.z,
         std::exchange(r.problem, {}));
  }
}

std::size_t new_shared_id() {
  static std::size_t last = 0;
  return last++;
}

void* shared_memory(std::size_t id, std::size_t bytes, std::size_t alignment) {
  struct Of {
    std::uint64_t block = 0;
    void* memory = nullptr;
  };
  static std::vector<Of> all;
  if (all.size() <= id) all.resize(id + 1);
  Of& of = all[id];
  if (of.block == counters().blocks) return of.memory;
  of = {counters().blocks, allocate_shared(bytes, alignment)};
  if (of.memory) return of.memory;
  set_problem("takes more than 48 KiB of shared memory");
  give_up();
}

}  // namespace maskgrad::emulation
