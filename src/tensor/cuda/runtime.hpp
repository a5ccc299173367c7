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

/// Whether each kernel is waited for, so that an error names the one that went wrong:
/// MASKGRAD_CUDA_SYNC=1 in the environment. Then steps are eager.
bool waits_for_each_launch();
/// Waits for what the stream was given last, where each launch is waited for. `name`: which work.
void wait_if_asked(const char* name);
/// Whether a variable of the environment is 1; `otherwise` where there is none. Throws Error for
/// another value than 0 and 1.
bool flag_of_environment(const char* variable, bool otherwise);

/// What device_counts() returns. For who holds device_lock().
DeviceCounts& counted();

/// Throws Error "[name] cuda: <what CUDA says>" unless `error` is none. Where memory is missing,
/// the error says what to do.
void check_cuda(cudaError_t error, const char* name);

/// Whether a call that asked for memory got some, which is counted. Throws Error as check_cuda()
/// for errors other than that there is no more.
bool got_memory(cudaError_t error);

}  // namespace maskgrad::cuda
