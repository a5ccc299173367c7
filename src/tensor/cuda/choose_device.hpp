// Which device a name means, on this machine.
#pragma once

#include <array>
#include <string_view>

#include <maskgrad/tensor/device.hpp>

namespace maskgrad {

/// The names that choose_device() takes.
inline constexpr std::array<std::string_view, 3> kDeviceNames = {"cpu", "auto", "cuda"};

/// The device called `name`:
///   cpu    the CPU
///   cuda   the process' one CUDA device. CUDA_VISIBLE_DEVICES chooses it among several.
///   auto   the CUDA device where this build and this machine have one that works, else the CPU
/// Throws Error "[device] this build has no CUDA; configure with -DMASKGRAD_CUDA=ON", "[device]
/// cuda: no NVIDIA driver is installed" or what else is in the way, and for other names. `flag` is
/// what errors call the setting.
Device choose_device(std::string_view name, std::string_view flag = "the device");

}  // namespace maskgrad
