// Which device a name means, on this machine.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include <maskgrad/tensor/device.hpp>

namespace maskgrad {

/// The names that choose_device() takes.
inline constexpr std::array<std::string_view, 3> kDeviceNames = {"cpu", "auto", "cuda"};

/// Throws Error "[device] --device must be one of cpu, auto, cuda, not 'gpu'" for another name.
/// `flag` is what errors call the setting: "--device".
void check_device_name(std::string_view name, std::string_view flag = "the device");

/// The device called `name`:
///   cpu    the CPU
///   cuda   the process' one CUDA device. CUDA_VISIBLE_DEVICES chooses it among several.
///   auto   the CUDA device where this build and this machine have one that works, else the CPU.
///          why_no_cuda() tells why.
/// Throws Error "[device] this build has no CUDA; configure with -DMASKGRAD_CUDA=ON", "[device]
/// cuda: no NVIDIA driver is installed" or what else is in the way. Throws as check_device_name(),
/// and in a build with CUDA, but for the CPU, as cuda::check_environment().
Device choose_device(std::string_view name, std::string_view flag = "the device");

/// Why this process has no CUDA device, as choose_device("cuda") says it: "this build has no CUDA;
/// configure with -DMASKGRAD_CUDA=ON". Empty where it has one.
std::string why_no_cuda();

/// For people: "cpu", or "cuda (NVIDIA H100 PCIe)". Throws Error where there is no such device.
std::string describe(Device device);

}  // namespace maskgrad
