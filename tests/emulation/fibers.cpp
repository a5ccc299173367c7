#include "emulation/fibers.hpp"

#include <memory>
#include <utility>
#include <vector>

#include <pthread.h>

#include "emulation/memory.hpp"
#include "emulation/sanitized.hpp"

// Saves what a call must keep (System V, x86-64), and goes on with another stack. A system call, as
// swapcontext() makes, would take ten times as long.
extern "C" void maskgrad_switch_stack(void** save, void* load);
asm(R"(
.text
.globl maskgrad_switch_stack
.type maskgrad_switch_stack,@function
maskgrad_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size maskgrad_switch_stack,.-maskgrad_switch_stack
)");

namespace maskgrad::emulation {
namespace {

using Stack = std::pair<const std::byte*, std::size_t>;  // where it begins, and its bytes

Stack find_stack_of_this_thread() {
  pthread_attr_t attributes;
  void* low = nullptr;
  std::size_t size = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  return {static_cast<const std::byte*>(low), size};
}

// Any thread of the host may run kernels, one after another.
const Stack& stack_of_this_thread() {
  static thread_local const Stack stack = find_stack_of_this_thread();
  return stack;
}

struct Fibers {
  std::byte* const stacks = static_cast<std::byte*>(reserve(kStackBytes * kMostFibers));
  Fiber main;
  std::vector<std::unique_ptr<Fiber>> all;
  std::vector<Fiber*> idle;
};

Fibers& fibers() {
  static Fibers fibers;
  return fibers;
}

bool is_within(const std::byte* begin, std::size_t size, const void* place) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(place) - begin) < size;
}

}  // namespace

Fiber& main_fiber() { return fibers().main; }

void switch_to(Fiber& from, Fiber& to) {
#if defined(MASKGRAD_SANITIZES_ADDRESS)
  const auto [bottom, size] = to.stack ? Stack(to.stack, kStackBytes) : stack_of_this_thread();
  __sanitizer_start_switch_fiber(&from.fake_stack, bottom, size);
#endif
  maskgrad_switch_stack(&from.stopped_at, to.stopped_at);
#if defined(MASKGRAD_SANITIZES_ADDRESS)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

Fiber& take_fiber(void (*body)()) {
  Fibers& f = fibers();
  if (!f.idle.empty()) {
    Fiber* const idle = f.idle.back();
    f.idle.pop_back();
    return *idle;
  }
  auto made = std::make_unique<Fiber>();
  made->stack = f.stacks + f.all.size() * kStackBytes;
  auto** top = reinterpret_cast<void**>(made->stack + kStackBytes - 64);
  *--top = nullptr;                        // where `body` would return to
  *--top = reinterpret_cast<void*>(body);  // where the switch returns to
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  made->stopped_at = top;
  f.all.push_back(std::move(made));
  return *f.all.back();
}

void give_back(Fiber& fiber) { fibers().idle.push_back(&fiber); }

void abandon_fibers() {
  Fibers& f = fibers();
#if defined(MASKGRAD_SANITIZES_ADDRESS)
  ASAN_UNPOISON_MEMORY_REGION(f.stacks, kStackBytes * kMostFibers);
#endif
  f.idle.clear();
  f.all.clear();
}

void note_start() {
#if defined(MASKGRAD_SANITIZES_ADDRESS)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

bool is_on_a_stack(const void* place) {
  const auto& [begin, size] = stack_of_this_thread();
  return is_within(fibers().stacks, kStackBytes * kMostFibers, place) ||
         is_within(begin, size, place);
}

}  // namespace maskgrad::emulation
