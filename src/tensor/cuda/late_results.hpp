// Numbers of a step that the host reads when it has begun the next one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {

/// Writes scalars of any dtype on the device to rows[row], as doubles. Numbers of a row lie side by
/// side, LateResults::kMostNumbers to each.
inline constinit CudaKernel<void(std::span<const Tensor> numbers, double* rows, std::int64_t row)>
    kLateResultsCuda{"late_results"};

/// Brings losses, metrics and the like of each step to the host without a wait for the device to be
/// idle:
///   step n:      the last that it gives the device is late.send({loss, hits, norm, flag})
///   step n + 1:  its work is given, then late.read() returns the numbers of step n
/// So the device works on step n + 1 while the host waits for the end of step n, and looks at its
/// numbers. What the host does about them comes a step late. So kernels themselves must see that a
/// step must not count, as one whose loss is not finite, and those behind it: by a flag that they
/// find on the device. At the end of an epoch, before a checkpoint, and where a run stops, read()
/// until none is waiting.
/// For one thread, and only where there is CUDA.
class LateResults {
 public:
  static constexpr std::size_t kMostNumbers = 256;  // of one step
  static constexpr std::size_t kMostWaiting = 3;    // steps

  /// Throws Error "[device] this build has no CUDA; ...", and where there is no device.
  LateResults();
  /// Waits for what was sent and not read.
  ~LateResults();
  LateResults(const LateResults&) = delete;
  LateResults& operator=(const LateResults&) = delete;

  /// Has the device note the values that these scalars have when all work before is done. The
  /// tensors may be given back, or written to, behind it. Integers up to 2^53 arrive as they are.
  /// Within a DeviceStep the numbers are those of this step. Throws Error for a tensor that is not
  /// on the device or no scalar, for more than kMostNumbers, and when kMostWaiting are waiting.
  void send(std::span<const Tensor> numbers);
  void send(std::initializer_list<Tensor> numbers) {
    send(std::span(numbers.begin(), numbers.size()));
  }
  /// How many times send() was called, and read() not yet.
  std::size_t waiting() const { return sent_ - read_; }
  /// The numbers that were sent first of those that are waiting, in their order. They stay until
  /// the next call. Waits for the end of their step, and not for later ones; where they were sent
  /// outside of a step, or in the one under way, for all work. Throws Error when none is waiting,
  /// and what has failed on the device.
  std::span<const double> read();
  /// None is waiting any more. Waits for nothing.
  void forget() { read_ = sent_; }

 private:
  // Of one call of send().
  struct Row {
    std::uint64_t step = 0;
    std::size_t count = 0;
  };

  double* shared_;
  std::array<Row, kMostWaiting> rows_;
  std::size_t sent_ = 0, read_ = 0;
  std::array<double, kMostNumbers> numbers_{};
};

}  // namespace maskgrad
