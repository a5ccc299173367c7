// The functions of CUDA's that host code calls, for the emulated device.
#include "emulation/device.hpp"

#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

#include "emulation/emulator.hpp"
#include "emulation/memory.hpp"
#include "emulation/streams.hpp"

namespace maskgrad::emulation {
namespace {

int driver_version = CUDART_VERSION, gpu_count = 1;
int error_of_kernels = cudaSuccess;
bool reads_memory_of_the_host = false;
int kernel_version = 90;
std::size_t memory_limit = kArenaBytes;
std::map<const std::byte*, std::size_t> pinned;  // bytes

bool is_pinned(const void* place) {
  const auto* const at = static_cast<const std::byte*>(place);
  const auto behind = pinned.upper_bound(at);
  return behind != pinned.begin() && at < std::prev(behind)->first + std::prev(behind)->second;
}

bool is_of_device(const void* place) {
  return offset_in_arena(place) < kArenaBytes && !is_pinned(place);
}

cudaError_t allocate_within_limit(void** block, std::size_t bytes) {
  *block = fits_limit(bytes) ? allocate(bytes) : nullptr;
  return *block ? cudaSuccess : cudaErrorMemoryAllocation;
}

}  // namespace

bool fits_limit(std::size_t bytes) {
  return bytes <= memory_limit && bytes_in_use() <= memory_limit - bytes;
}

Installed::Installed(int driver, int gpus, int error)
    : driver_(std::exchange(driver_version, driver)),
      gpus_(std::exchange(gpu_count, gpus)),
      error_of_kernels_(std::exchange(error_of_kernels, error)) {}
Installed::~Installed() {
  error_of_kernels = error_of_kernels_;
  driver_version = driver_;
  gpu_count = gpus_;
}

KernelsFor::KernelsFor(int version) : before_(std::exchange(kernel_version, version)) {}
KernelsFor::~KernelsFor() { kernel_version = before_; }

ReadsMemoryOfTheHost::ReadsMemoryOfTheHost() { reads_memory_of_the_host = true; }
ReadsMemoryOfTheHost::~ReadsMemoryOfTheHost() { reads_memory_of_the_host = false; }

MemoryLimit::MemoryLimit(std::size_t more)
    : before_(std::exchange(memory_limit, bytes_in_use() + more)) {}
MemoryLimit::~MemoryLimit() { memory_limit = before_; }

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
    case cudaErrorDevicesUnavailable:
      return "CUDA-capable device(s) is/are busy or unavailable";
    case cudaErrorInvalidDeviceFunction:
      return "invalid device function";
    case cudaErrorUnsupportedPtxVersion:
      return "the provided PTX was compiled with an unsupported toolchain.";
    case cudaErrorJitCompilationDisabled:
      return "PTX JIT compilation was disabled";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorNoKernelImageForDevice:
      return "no kernel image is available for execution on the device";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
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

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaMalloc(void** block, std::size_t bytes) {
  if (refuses_calls()) return cudaErrorStreamCaptureUnsupported;
  return allocate_within_limit(block, bytes);
}

cudaError_t cudaFree(void* block) {
  if (refuses_calls()) return cudaErrorStreamCaptureUnsupported;
  run_streams();
  return !block || (is_of_device(block) && deallocate(block)) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaHostAlloc(void** block, std::size_t bytes, unsigned) {
  if (refuses_calls()) return cudaErrorStreamCaptureUnsupported;
  *block = allocate(bytes);
  if (!*block) return cudaErrorMemoryAllocation;
  pinned[static_cast<std::byte*>(*block)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* block) {
  if (refuses_calls()) return cudaErrorStreamCaptureUnsupported;
  run_streams();
  if (pinned.erase(static_cast<std::byte*>(block)) == 0) return cudaErrorInvalidValue;
  deallocate(block);
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** block, std::size_t bytes, cudaStream_t) {
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  return allocate_within_limit(block, bytes);
}

cudaError_t cudaFreeAsync(void* block, cudaStream_t stream) {
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  if (!is_of_device(block)) return cudaErrorInvalidValue;
  enqueue(stream, [block] { deallocate(block); });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (is_of_device(to) == (kind == cudaMemcpyDeviceToHost) ||
      is_of_device(from) == (kind == cudaMemcpyHostToDevice)) {
    return cudaErrorInvalidValue;
  }
  if (kind == cudaMemcpyHostToDevice) ++counters().uploads;
  if (bytes == 0) return cudaSuccess;  // there may be no memory either
  const bool is_staged =
      kind == cudaMemcpyHostToDevice && !is_pinned(from) && !reads_memory_of_the_host;
  if (is_staged && !is_capturing()) {
    const auto* first = static_cast<const std::byte*>(from);
    enqueue(stream, [to, bytes = std::vector(first, first + bytes)] {
      copy_bytes(to, bytes.data(), bytes.size());
    });
  } else {
    enqueue(stream, [=] { copy_bytes(to, from, bytes); });
  }
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  attributes->ptxVersion = kernel_version;
  return static_cast<cudaError_t>(error_of_kernels);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated"};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      break;
    case cudaDevAttrPageableMemoryAccess:
      *value = reads_memory_of_the_host;
      break;
  }
  return cudaSuccess;
}
