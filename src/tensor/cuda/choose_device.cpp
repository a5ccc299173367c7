#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/cuda/environment.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

constexpr Device kCuda = {DeviceType::kCuda};

Device cuda_device() {
  need_cuda_build();
  cuda_memory->check_usable();
  return kCuda;
}

}  // namespace

void check_device_name(std::string_view name, std::string_view flag) {
  const bool is_one =
      std::find(kDeviceNames.begin(), kDeviceNames.end(), name) != kDeviceNames.end();
  check(is_one, "device", "{} must be one of {}, not '{}'", flag, fmt::join(kDeviceNames, ", "),
        shortened(name));
}

Device choose_device(std::string_view name, std::string_view flag) {
  check_device_name(name, flag);
  if (name != "cpu" && cuda_memory) cuda::check_environment();
  if (name == "cuda") return cuda_device();
  return name == "auto" && why_no_cuda().empty() ? kCuda : Device{};
}

std::string why_no_cuda() {
  try {
    cuda_device();
    return "";
  } catch (const Error& error) {
    return std::string(error.text());
  }
}

std::string describe(Device device) {
  const std::string kind(to_string(device.type));
  if (device.type == DeviceType::kCpu) return kind;
  need_cuda_build();
  return fmt::format("{} ({})", kind, cuda_memory->name());
}

}  // namespace maskgrad
