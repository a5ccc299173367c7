// Work in parts that depend on shapes only, so that any number of threads gives the same bits.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace maskgrad {

/// How many threads parallel_for may use, this one included; 1 at the start. After a call the
/// others look for work for 200 us, then sleep. They sleep at once when the program may use fewer
/// processors than there are threads.
int num_threads();
/// Sets num_threads(). Requires that no parallel_for runs. Throws Error unless 1 <= count <= 1024,
/// and when the system starts no more threads. Then the number of threads stays as it was.
void set_num_threads(int count);

/// How many processors this program may use.
int num_processors();

namespace detail {
using PartFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void parallel_for(std::int64_t count, std::int64_t parts, PartFunction function, void* context);
}  // namespace detail

/// The number of parts of at least `least` things into which parallel_for cuts `count` things. It
/// is `count` when `least` is 1, else one, two, four, eight or a multiple of twelve. So two, three
/// or four threads cut loops over the same rows at the same places, and a core finds in its own
/// cache what it wrote.
constexpr std::int64_t parts_of(std::int64_t count, std::int64_t least) {
  constexpr std::int64_t kMost = 12 << 20;
  if (least <= 1) return count < kMost ? count : kMost;
  const std::int64_t n = count / least;
  if (n < 4) return n < 2 ? 1 : 2;
  if (n < 12) return n < 8 ? 4 : 8;
  return n < kMost ? n / 12 * 12 : kMost;
}

/// Cuts [0, count) into `parts` > 0 parts as equal as possible, and calls f(begin, end) once for
/// each, on several threads in any order. Calls nothing when `count` is 0. Requires that `parts` is
/// chosen from shapes and masks alone, never from the number of threads. The first exception of an
/// f is thrown here after all calls have ended. A parallel_for within f runs on the thread of that
/// f. Threads inherit the caller's DenormalMode.
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

/// The number of things that hold about 32,768 units of work, when each takes the product of these
/// factors. A unit is about a multiplication. So much work is worth handing to another thread.
template <class... Factors>
constexpr std::int64_t least_for(Factors... factors) {
  std::int64_t work_each = 1;
  const bool is_huge =
      (__builtin_mul_overflow(work_each, std::int64_t{factors}, &work_each) || ...);
  if (is_huge || work_each > 32768) return 1;
  return 32768 / (work_each > 0 ? work_each : 1);
}

}  // namespace maskgrad
