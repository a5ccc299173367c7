// Steps of a device: what is given to it again and again, as a training step is.
#pragma once

#include <cstddef>
#include <cstdint>

#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/device.hpp>

namespace maskgrad {

/// What a build with CUDA gives DeviceStep and LateResults.
struct DeviceSteps {
  bool (*begin)();
  void (*end)();
  /// Starts what the step has given so far, and ends it.
  void (*abandon)() noexcept;
  /// The number of the step under way; 0 where there is none.
  std::uint64_t (*number)();
  /// Waits until the device is done with a step, but not for later ones; 0: for all work.
  void (*wait_for)(std::uint64_t step);
  /// Memory of the host that kernels write to, zeros, and its end.
  double* (*allocate_shared)(std::size_t count);
  void (*free_shared)(double* numbers) noexcept;
};

/// Null in a build without CUDA; set where the program starts.
inline constinit const DeviceSteps* cuda_steps = nullptr;

/// While one lives, what a device is given is one step, which starts where end() is called. On the
/// CPU it does nothing, and neither does one within another. Work from any thread belongs to it.
///
/// A step that gives the device the same as an earlier one (kernels, grids, arguments, in the same
/// order) runs as one graph: the host only compares. It is found out and not promised: steps of
/// other shapes may come at any time. Eight different ones are remembered; the one that came least
/// recently goes. For steps to be the same
///   - a number that changes from step to step, such as a rate, a count or a seed, is uploaded
///     (Tensor::to(), cuda::Uploaded), and is no argument of a kernel. Where it is one, each step
///     is recorded anew, which is right, but slow: device_counts().recorded tells;
///   - the host reads nothing of the step before its end: no item(), no to(Device{}). A step that
///     is read within is right, too, but starts piece by piece. LateResults brings numbers to the
///     host one step late.
/// All that a step uploads goes to the device in one copy ahead of its kernels. The host may be
/// three steps ahead of the device.
class DeviceStep {
 public:
  explicit DeviceStep(Device device)
      : is_open_(device.type == DeviceType::kCuda && cuda_steps && cuda_steps->begin()) {}
  /// A step that ends here, by an exception as well, is no replay: it starts piece by piece.
  ~DeviceStep() {
    if (is_open_) cuda_steps->abandon();
  }
  DeviceStep(const DeviceStep&) = delete;
  DeviceStep& operator=(const DeviceStep&) = delete;

  /// Gives the device the whole step. Throws Error "[name] cuda: ..." when it does not take some of
  /// it.
  void end() {
    if (!is_open_) return;
    is_open_ = false;
    cuda_steps->end();
  }

 private:
  bool is_open_;
};

}  // namespace maskgrad
