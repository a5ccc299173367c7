// The functions of CUDA's that host code calls, for the emulated device.
#include "emulation/device.hpp"

#include <deque>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

#include "emulation/emulator.hpp"
#include "emulation/memory.hpp"

struct CUstream_st {
  std::deque<std::function<void()>> waiting;
};

namespace maskgrad::emulation {
namespace {

int driver_version = CUDART_VERSION, gpu_count = 1;
CUstream_st the_stream;

bool is_of_device(const void* place) { return offset_in_arena(place) < kArenaBytes; }

}  // namespace

Installed::Installed(int driver, int gpus)
    : driver_(std::exchange(driver_version, driver)), gpus_(std::exchange(gpu_count, gpus)) {}
Installed::~Installed() {
  driver_version = driver_;
  gpu_count = gpus_;
}

std::size_t waiting() { return the_stream.waiting.size(); }

void enqueue(cudaStream_t stream, std::function<void()> work) {
  stream->waiting.push_back(std::move(work));
}

}  // namespace maskgrad::emulation

using namespace maskgrad::emulation;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
  }
  return "unrecognized error code";
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = driver_version;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  if (driver_version < CUDART_VERSION) return cudaErrorInsufficientDriver;
  *count = gpu_count;
  return gpu_count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = &the_stream;
  return cudaSuccess;
}

// What a kernel did wrong is thrown here: its text tells more than a cudaError_t could.
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::deque<std::function<void()>> work = std::exchange(stream->waiting, {});
  for (const auto& next : work) next();
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** block, std::size_t bytes, cudaStream_t) {
  *block = allocate(bytes);
  return *block ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeAsync(void* block, cudaStream_t stream) {
  if (!is_of_device(block)) return cudaErrorInvalidValue;
  enqueue(stream, [block] { deallocate(block); });
  return cudaSuccess;
}

// As of memory that is not pinned: what comes from the host is read at once.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (is_of_device(to) == (kind == cudaMemcpyDeviceToHost) ||
      is_of_device(from) == (kind == cudaMemcpyHostToDevice)) {
    return cudaErrorInvalidValue;
  }
  if (kind == cudaMemcpyHostToDevice) ++counters().uploads;
  if (bytes == 0) return cudaSuccess;  // there may be no memory either
  if (kind == cudaMemcpyHostToDevice) {
    const auto* first = static_cast<const std::byte*>(from);
    enqueue(stream, [to, bytes = std::vector(first, first + bytes)] {
      std::memcpy(to, bytes.data(), bytes.size());
    });
  } else {
    enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  }
  return cudaSuccess;
}
