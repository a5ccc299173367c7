// Work in chunks that depend on shapes only, so that any number of threads gives the same bits.
#pragma once

#include <cstdint>
#include <type_traits>

namespace maskgrad {

/// How many threads parallel_for may use, this one included; 1 at the start. Between two calls the
/// others keep looking for work for 200 us, then sleep; where the program may use fewer processors
/// than there are threads, they sleep at once.
int num_threads();
/// Throws Error unless 1 <= count <= 1024. Not to be called while parallel_for runs.
void set_num_threads(int count);

namespace detail {
using ChunkFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void parallel_for(std::int64_t count, std::int64_t chunk, ChunkFunction function, void* context);
}  // namespace detail

/// Calls f(begin, end) for [0, chunk), [chunk, 2 chunk), ... up to `count`, each once, on several
/// threads in any order. `chunk` must be chosen from shapes alone, never from the number of
/// threads. The first exception of an f is thrown here, after all have ended. An f that calls
/// parallel_for itself runs that one on its own thread. Threads inherit the caller's treatment of
/// denormals.
template <class F>
void parallel_for(std::int64_t count, std::int64_t chunk, F&& f) {
  using Function = std::remove_reference_t<F>;
  detail::parallel_for(
      count, chunk,
      [](void* context, std::int64_t begin, std::int64_t end) {
        (*static_cast<Function*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}

/// The chunk that holds about 32,768 units of work (a unit: a multiplication or so) when each of
/// the things counted takes `work_each`: enough to outweigh handing it to another thread.
constexpr std::int64_t chunk_for(std::int64_t work_each) {
  const std::int64_t chunk = 32768 / (work_each > 0 ? work_each : 1);
  return chunk > 0 ? chunk : 1;
}

}  // namespace maskgrad
