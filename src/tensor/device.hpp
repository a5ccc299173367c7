// Where a tensor lives.
#pragma once

#include <cstdint>
#include <string_view>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

enum class DeviceType : std::uint8_t { kCpu, kCuda };

/// A device by kind and index. Every function that makes a tensor takes one.
struct Device {
  DeviceType type = DeviceType::kCpu;
  std::int8_t index = 0;

  friend bool operator==(Device, Device) = default;
};

constexpr std::string_view to_string(DeviceType type) {
  return type == DeviceType::kCpu ? "cpu" : "cuda";
}

/// Runs `cpu` and returns its result. For operations that have no kernel slot
/// (cuda/kernel_slot.hpp). Throws Error "[name] has no CUDA kernel" unless `device` is a CPU.
template <class Cpu>
decltype(auto) dispatch_device(Device device, const char* name, Cpu&& cpu) {
  check(device.type == DeviceType::kCpu, name, "has no CUDA kernel");
  return cpu();
}

}  // namespace maskgrad
