// Steps of the device, one after another.
#pragma once

#include <array>
#include <cstdint>

#include <maskgrad/tensor/cuda/runtime.hpp>

namespace maskgrad::cuda {

class StepLog {
 public:
  /// The calls stand around a step; within one, begin() returns false, and its caller must not call
  /// end(). Work that the device was given behind the step runs behind it.
  bool begin();
  void end() noexcept;
  /// Whether a step is under way.
  bool is_open() const { return is_open_; }

  /// The steps that the host may be ahead of the device: begin() waits for the step so many before.
  static constexpr std::uint64_t kAhead = 3;

 private:
  bool is_open_ = false;
  std::uint64_t step_ = 0;
  std::array<cudaEvent_t, kAhead> done_{};  // of the step with this number modulo kAhead
};

/// That of the process' one device.
StepLog& step_log();

}  // namespace maskgrad::cuda
