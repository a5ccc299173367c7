// What a build with CUDA gives tensors: memory of the device, copies and fills.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <maskgrad/tensor/cuda/device_counts.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

/// Functions on the memory of the process' one CUDA device. Each is ordered behind the work that
/// the device was given before. Only download() waits for that work. Where the device reads the
/// host's memory by itself, upload() and upload_new() wait for it, too, outside a step; Traffic
/// does not count this.
struct DeviceMemory {
  /// Throws Error "[device] cuda: no NVIDIA driver is installed", or what else is in the way.
  void (*check_usable)();
  /// What the maker calls the device: "NVIDIA H100 PCIe". Throws as check_usable().
  std::string (*name)();
  /// Contents undefined; aligned to 256 bytes. Throws std::bad_alloc when there is no more, and
  /// Error "[device] ..." when there is no device.
  void* (*allocate)(std::size_t bytes);
  /// Gives back what allocate() returned, for use behind the work that was ordered before.
  void (*free)(void* block);
  /// As allocate(), and holds a copy of bytes of the host, which may change as soon as the call
  /// returns. Within a DeviceStep the bytes are there before the step's kernels run.
  void* (*upload_new)(const void* from, std::size_t bytes);
  /// Copies from the host. `from` may change as soon as the call returns.
  void (*upload)(void* to, const void* from, std::size_t bytes);
  /// Copies to the host. Waits until the bytes are there.
  void (*download)(void* to, const void* from, std::size_t bytes);
  /// Copies within the device. Requires that the two blocks do not overlap.
  void (*copy)(void* to, const void* from, std::size_t bytes);
  /// Writes `count` elements of 1, 4 or 8 bytes, each the lowest bytes of `bits`.
  void (*fill)(void* to, std::size_t element_bytes, std::uint64_t bits, std::size_t count);
  DeviceCounts (*counts)();
};

/// What errors say to do where the device has no more memory.
inline constexpr const char* kWayToLessMemory =
    "a smaller batch size takes less, and so do more micro-batches";

/// Null in a build without CUDA; set where the program starts.
inline constinit const DeviceMemory* cuda_memory = nullptr;

/// Throws Error "[device] this build has no CUDA; configure with -DMASKGRAD_CUDA=ON".
inline void need_cuda_build() {
  check(cuda_memory != nullptr, "device",
        "this build has no CUDA; configure with -DMASKGRAD_CUDA=ON");
}

/// All zeros in a build without CUDA.
inline DeviceCounts device_counts() { return cuda_memory ? cuda_memory->counts() : DeviceCounts{}; }

}  // namespace maskgrad
