// Streams, events and graphs of the emulated device.
#pragma once

#include <cuda_runtime.h>

namespace maskgrad::emulation {

/// Whether a stream is captured in a mode in which the host may not ask for memory. Such a call
/// ends the capture.
bool refuses_calls();
/// Whether what streams are given is kept in a graph.
bool is_capturing();
/// Whether the device has memory for so many bytes more.
bool fits_limit(std::size_t bytes);
/// Has all streams do what waits in them.
void run_streams();

}  // namespace maskgrad::emulation
