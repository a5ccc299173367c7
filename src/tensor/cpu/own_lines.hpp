// Memory that all threads have read, before one of them writes it.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad {

/// Asks for the cache lines of x[0 .. n-1], before the caller writes all of them. No value changes.
/// Requires that no other thread touches x.
///
/// A core that writes a line which others have read must ask them for it. A loop of stores waits
/// for one answer after the other. Here one element of each line is written as it is, so that many
/// requests are on their way at once (the last line is left out where x does not begin a line). It
/// serves better than a prefetch for writing.
/// With one thread it does nothing; nor on processors other than x86, as C++ has no way to write
/// back a value that may not be initialised.
template <class T>
void own_lines([[maybe_unused]] T* x, [[maybe_unused]] std::int64_t n) {
#if defined(__x86_64__) || defined(__i386__)
  if (num_threads() == 1) return;
  constexpr std::int64_t kLine = 64 / sizeof(T);
  for (std::int64_t i = 0; i < n; i += kLine) asm volatile("orl $0, %0" : "+m"(x[i]) : : "cc");
#endif
}

}  // namespace maskgrad
