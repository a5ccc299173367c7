// The option --device of commands that compute.
#pragma once

#include "cli/command.hpp"

namespace maskgrad::apps {

/// Adds the option. It takes cpu, and auto, which is the CPU, too. Throws UsageError "[device] this
/// build has no CUDA; ..." for cuda.
void add_device(CLI::App& command);

}  // namespace maskgrad::apps
