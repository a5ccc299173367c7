// The options --device and --math of commands that compute.
#pragma once

#include <maskgrad/tensor/device.hpp>

#include "cli/command.hpp"

namespace maskgrad::apps {

/// What --device says.
struct DeviceChoice {
  Device device = {};
  bool is_auto = false;  // "auto" chose it
};

/// Adds the option, which sets `choice`. Throws UsageError where the device cannot be used, as
/// choose_device() does.
void add_device(CLI::App& command, DeviceChoice& choice);
/// For a command that computes with the model of a run: the help says that the default is the CPU
/// wherever the run was trained.
void add_device_for_run(CLI::App& command, Device& device);
/// For another command.
void add_device(CLI::App& command, Device& device);

/// Adds --math, which sets how the process multiplies float32 on a GPU. Throws UsageError unless
/// `device`, which add_device() sets, is one that can do it. Both must outlive the parsing.
void add_math(CLI::App& command, const Device& device);

}  // namespace maskgrad::apps
