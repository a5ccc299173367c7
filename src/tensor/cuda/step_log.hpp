// What a step gave the device, remembered: a step that gives the same again is replayed as a graph.
//
//   kEager   work goes to the stream at once.
//   kRecord  each piece of work is written down. At the end of the step all of it becomes a graph,
//            which runs and is kept.
//   kVerify  each piece is held against what was written down of earlier steps. At the end of a
//            step that agreed with one of them throughout, its graph runs. At the first piece that
//            is in none, the step goes on as kRecord, with what was agreed so far.
//
// So what a step gave starts at its end, unless it is interrupted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include <maskgrad/tensor/cuda/runtime.hpp>

namespace maskgrad::cuda {

/// Which work it is. Two pieces are the same when kernel and key are.
struct Work {
  const void* kernel;  // null for what is none, such as a copy
  std::span<const std::byte> key;
};

/// The bytes of values, one after another; an object without members has none. Padding is 0 where
/// the compiler can clear it. Elsewhere equal values may have other bytes, and are taken for
/// others.
template <class... T>
auto bytes_of(const T&... values) {
  std::array<std::byte, (0 + ... + (std::is_empty_v<T> ? 0 : sizeof(T)))> bytes;
  std::size_t end = 0;
  const auto add = [&]<class Value>(Value value) {
    if constexpr (!std::is_empty_v<Value>) {
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
      __builtin_clear_padding(&value);
#endif
#endif
      std::memcpy(bytes.data() + end, &value, sizeof value);
      end += sizeof value;
    }
  };
  (add(values), ...);
  return bytes;
}

class StepLog {
 public:
  enum class Mode { kEager, kRecord, kVerify };

  /// Has the device do `start()`, which gives the stream what `work` describes: now, or with the
  /// rest of the step. `start` is kept, and called again for steps that are no replay.
  template <class Start>
  void give(const Work& work, const Start& start) {
    const std::lock_guard lock(device_lock());
    if (mode_ == Mode::kVerify && is_next(work)) return;
    if (mode_ == Mode::kEager) return start();
    write_down(work, start);
  }

  /// The calls stand around a step; within one, begin() returns false, and its caller must not call
  /// end(). Work that the device was given behind the step runs behind it.
  bool begin();
  void end();
  /// end() for a step that something went wrong in.
  void abandon() noexcept;
  /// Whether a step is under way.
  bool is_open() const { return is_open_; }
  /// Whether what is given goes to the stream at once.
  bool starts_at_once() const { return mode_ == Mode::kEager; }
  /// Starts what the step has given so far. The rest of it is eager.
  void interrupt();
  /// interrupt(), and no earlier step is replayed: memory that was given to steps goes.
  void forget();

  /// The number of the step under way, or of the last one: 1, 2, ...
  std::uint64_t step() const { return step_; }
  /// Waits until the device is done with a step, and not for later ones. Interrupts it when it is
  /// under way.
  void wait_for(std::uint64_t step);
  /// The steps that the host may be ahead of the device: begin() waits for the step so many before.
  static constexpr std::uint64_t kAhead = 3;

 private:
  struct Entry {
    const void* kernel;
    std::size_t first, size;  // of its key among the bytes
    std::function<void()> start;
  };
  struct Graph;
  struct Recording {
    std::vector<Entry> entries;
    std::vector<std::byte> bytes;
    std::shared_ptr<Graph> graph;
    std::uint64_t used = 0;  // the last step that it was the graph of
  };
  static constexpr std::size_t kKept = 8;  // recordings

  Mode mode_of_next_step();
  bool is_next(const Work& work);
  void write_down(const Work& work, std::function<void()> start);
  void record_from(const Recording& agreed);
  void start_so_far();
  std::uint64_t& run();
  static bool make_graph(Recording& recording);
  bool run_graph(Recording& recording);
  void run_in_pieces();
  void keep(std::unique_ptr<Recording> recording);
  void close();
  void put_off_recording();

  Mode mode_ = Mode::kEager;
  bool is_open_ = false, was_broken_ = false, is_abandoned_ = false;
  std::uint64_t step_ = 0;
  std::uint64_t broken_in_row_ = 0, eager_until_ = 1;  // the first step is eager
  std::vector<std::unique_ptr<Recording>> kept_;
  std::unique_ptr<Recording> recording_;
  // While verifying: the recordings that agree so far, and with how many pieces of work.
  std::vector<Recording*> agreeing_;
  std::size_t agreed_ = 0;
  std::array<cudaEvent_t, kAhead> done_{};  // of the step with this number modulo kAhead
};

/// That of the process' one device.
StepLog& step_log();

}  // namespace maskgrad::cuda
