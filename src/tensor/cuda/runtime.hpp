// The process' one CUDA device: its stream, its memory, and why it cannot be used. For `.cu` files.
#pragma once

#include <cstddef>
#include <mutex>

#include <cuda_runtime.h>

#include <maskgrad/tensor/cuda/device_counts.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad::cuda {

/// Throws Error "[device] cuda: ..." when there is no device that can be used, with the reason.
void check_usable();

/// The stream that all work goes to, in order. Made at the first call. Work gets there through
/// StepLog::give(), as that of launch() does.
/// Throws Error as check_usable().
cudaStream_t stream();

/// Held while the device is given something, and while memory changes hands. So calls from several
/// threads come one after another.
std::recursive_mutex& device_lock();

/// Throws Error as check_usable(), and makes the stream.
inline void need_device() { static_cast<void>(stream()); }

/// Waits for all work. Throws Error when some of it has failed. Interrupts a DeviceStep.
void synchronize();

/// Waits for what the stream was given last, where each launch is waited for. `name`: which work.
void wait_if_asked(const char* name);

/// What device_counts() returns. For who holds device_lock().
DeviceCounts& counted();

/// Throws Error "[name] cuda: <what CUDA says>" unless `error` is none. Where memory is missing,
/// the error says what to do.
void check_cuda(cudaError_t error, const char* name);

/// Whether a call found the memory that it needs. Throws Error as check_cuda() for other errors.
bool has_memory(cudaError_t error);
/// The same of a call that asks for memory. What it got is counted.
bool got_memory(cudaError_t error);

}  // namespace maskgrad::cuda
