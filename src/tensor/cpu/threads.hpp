// Work in parts that depend on shapes only, so that any number of threads gives the same bits.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace maskgrad {

/// How many threads parallel_for may use, this one included; 1 at the start. Between two calls the
/// others keep looking for work for 200 us, then sleep; where the program may use fewer processors
/// than there are threads, they sleep at once.
int num_threads();
/// Throws Error unless 1 <= count <= 1024, and when the system starts no more threads: the former
/// number goes on working. Not to be called while parallel_for runs.
void set_num_threads(int count);

namespace detail {
using PartFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void parallel_for(std::int64_t count, std::int64_t parts, PartFunction function, void* context);
}  // namespace detail

/// Into how many parts parallel_for cuts `count` things, each of at least `least`: as many as there
/// are when that is one, else one, two, four, eight, or a multiple of twelve. So two threads part
/// at the same half in each loop over the same rows, and three or four at the same places where
/// there are twelve parts: a core finds in its own cache what it wrote.
constexpr std::int64_t parts_of(std::int64_t count, std::int64_t least) {
  constexpr std::int64_t kMost = 12 << 20;
  if (least <= 1) return count < kMost ? count : kMost;
  const std::int64_t n = count / least;
  if (n < 4) return n < 2 ? 1 : 2;
  if (n < 12) return n < 8 ? 4 : 8;
  return n < kMost ? n / 12 * 12 : kMost;
}

/// Calls f(begin, end) for `parts` > 0 parts of [0, count), as equal as can be, each once, on
/// several threads in any order; not at all when `count` is 0. `parts` must be chosen from shapes
/// and masks alone, never from the number of threads. The first exception of an f is thrown here,
/// after all have ended. An f that calls parallel_for itself runs that one on its own thread.
/// Threads inherit the caller's treatment of denormals.
template <class F>
void parallel_for_parts(std::int64_t count, std::int64_t parts, F&& f) {
  using Function = std::remove_reference_t<F>;
  detail::parallel_for(
      count, parts,
      [](void* context, std::int64_t begin, std::int64_t end) {
        (*static_cast<Function*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}

/// The same for parts_of(count, least) parts.
template <class F>
void parallel_for(std::int64_t count, std::int64_t least, F&& f) {
  parallel_for_parts(count, parts_of(count, least), std::forward<F>(f));
}

/// How many things hold about 32,768 units of work (a unit: a multiplication or so) when each takes
/// the product of these factors: enough to outweigh handing them to another thread.
template <class... Factors>
constexpr std::int64_t least_for(Factors... factors) {
  std::int64_t work_each = 1;
  const bool is_huge =
      (__builtin_mul_overflow(work_each, std::int64_t{factors}, &work_each) || ...);
  if (is_huge || work_each > 32768) return 1;
  return 32768 / (work_each > 0 ? work_each : 1);
}

}  // namespace maskgrad
