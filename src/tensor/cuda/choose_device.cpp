#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "device";
constexpr Device kCuda = {DeviceType::kCuda};

Device cuda_device() {
  need_cuda_build();
  cuda_memory->check_usable();
  return kCuda;
}

Device best_device() {
  if (cuda_memory == nullptr) return {};
  try {
    return cuda_device();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

Device choose_device(std::string_view name, std::string_view flag) {
  if (name == "cuda") return cuda_device();
  if (name == "auto") return best_device();
  check(name == "cpu", kName, "{} must be one of {}, not '{}'", flag, fmt::join(kDeviceNames, ", "),
        shortened(name));
  return {};
}

}  // namespace maskgrad
