// The option --device of commands that compute.
#pragma once

#include <maskgrad/tensor/device.hpp>

#include "cli/command.hpp"

namespace maskgrad::apps {

/// Adds the option, which sets `device`. Throws UsageError where the device cannot be used, as
/// choose_device() does.
void add_device(CLI::App& command, Device& device);

}  // namespace maskgrad::apps
