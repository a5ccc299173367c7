// Steps of a device: what is given to it again and again, as a training step is.
#pragma once

#include <maskgrad/tensor/device.hpp>

namespace maskgrad {

/// What a build with CUDA gives DeviceStep.
struct DeviceSteps {
  bool (*begin)();
  void (*end)() noexcept;
};

/// Null in a build without CUDA; set where the program starts.
inline constinit const DeviceSteps* cuda_steps = nullptr;

/// While one lives, what a device is given is one step, up to end(). On the CPU it does nothing,
/// and neither does one within another. Work from any thread belongs to it.
///
/// What a step uploads goes through pinned memory, and the host may be three steps ahead of the
/// device.
class DeviceStep {
 public:
  explicit DeviceStep(Device device)
      : is_open_(device.type == DeviceType::kCuda && cuda_steps && cuda_steps->begin()) {}
  ~DeviceStep() { end(); }
  DeviceStep(const DeviceStep&) = delete;
  DeviceStep& operator=(const DeviceStep&) = delete;

  void end() {
    if (!is_open_) return;
    is_open_ = false;
    cuda_steps->end();
  }

 private:
  bool is_open_;
};

}  // namespace maskgrad
