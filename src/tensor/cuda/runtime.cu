// The stream, and what tensors and steps ask of the device.
#include <cstring>
#include <new>

#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/cuda/device_pool.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/cuda/environment.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::cuda {
namespace {

constexpr const char* kName = "device";

// "12.4" of 12040.
std::string version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

// ---- memory

void* allocate(std::size_t bytes) {
  const std::lock_guard lock(device_lock());
  return device_pool().allocate(bytes);
}

void release(void* block) {
  const std::lock_guard lock(device_lock());
  if (!uploads().free(block)) device_pool().free(block);
}

void copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  const auto key = bytes_of('c', to, from, bytes);
  step_log().give({nullptr, key}, [=] {
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), kName);
  });
}

// Whether the device reads the host's memory by itself. It may do so behind the call that copies.
bool reads_memory_of_the_host() {
  int reads = 0;
  check_cuda(cudaDeviceGetAttribute(&reads, cudaDevAttrPageableMemoryAccess, 0), kName);
  return reads != 0;
}

// Within a step the bytes are copied twice: ahead of all kernels, and to their place in the order
// of the step.
void upload(void* to, const void* from, std::size_t bytes) {
  const std::lock_guard lock(device_lock());
  if (step_log().is_open()) {
    void* const ahead = uploads().add(from, bytes);
    copy(to, ahead, bytes);
    uploads().free(ahead);
  } else {
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), kName);
    if (reads_memory_of_the_host()) check_cuda(cudaStreamSynchronize(stream()), kName);
  }
}

void* upload_new(const void* from, std::size_t bytes) {
  const std::lock_guard lock(device_lock());
  if (step_log().is_open()) return uploads().add(from, bytes);
  void* const block = device_pool().allocate(bytes);
  try {
    upload(block, from, bytes);
  } catch (...) {
    device_pool().free(block);
    throw;
  }
  return block;
}

void download(void* to, const void* from, std::size_t bytes) {
  const std::lock_guard lock(device_lock());
  step_log().interrupt();
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), kName);
  synchronize();
}

template <class T>
__global__ void fill_kernel(T* y, T value, std::int64_t count) {
  const std::int64_t i = thread_number();
  if (i < count) y[i] = value;
}

void fill(void* to, std::size_t element_bytes, std::uint64_t bits, std::size_t count) {
  const auto n = static_cast<std::int64_t>(count);
  const Launch how = {"fill", blocks_for(n), kThreads};
  switch (element_bytes) {
    case 1:
      return launch(how, fill_kernel<std::uint8_t>, static_cast<std::uint8_t*>(to), bits, n);
    case 4:
      return launch(how, fill_kernel<std::uint32_t>, static_cast<std::uint32_t*>(to), bits, n);
    case 8:
      return launch(how, fill_kernel<std::uint64_t>, static_cast<std::uint64_t*>(to), bits, n);
    default:
      fail(kName, "fills elements of 1, 4 and 8 bytes, not {}", element_bytes);
  }
}

DeviceCounts counts() {
  const std::lock_guard lock(device_lock());
  DeviceCounts counts = counted();
  counts.bytes_in_use = device_pool().bytes_in_use() + uploads().bytes_in_use();
  return counts;
}

bool means_no_kernels(cudaError_t error) {
  return error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction ||
         error == cudaErrorUnsupportedPtxVersion || error == cudaErrorJitCompilationDisabled;
}

// Begins to use the GPU, by its first kernel. A build has kernels for some architectures only.
void check_has_kernels() {
  cudaFuncAttributes attributes;
  const auto* const kernel = reinterpret_cast<const void*>(fill_kernel<std::uint8_t>);
  const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // it is dealt with
  check(error != cudaErrorMemoryAllocation, kName,
        "cuda: the GPU has no memory left to begin with; nvidia-smi shows what uses it");
  if (!means_no_kernels(error)) check_cuda(error, kName);
  int major = 0, minor = 0;
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), kName);
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), kName);
  fail(kName,
       "cuda: this build has no kernels for a GPU of compute capability {}.{}; configure with "
       "-DMASKGRAD_CUDA_ARCHITECTURES={}{}",
       major, minor, major, minor);
}

std::string device_name() {
  check_usable();
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, 0), kName);
  return properties.name;
}

constexpr DeviceMemory kMemory = {check_usable, device_name, allocate, release, upload_new,
                                  upload,       download,    copy,     fill,    counts};

// ---- steps

double* allocate_shared(std::size_t count) {
  const std::lock_guard lock(device_lock());
  void* numbers = nullptr;
  stream();  // there may be no device
  const std::size_t bytes = count * sizeof(double);
  const bool got = got_memory(cudaHostAlloc(&numbers, bytes, cudaHostAllocMapped));
  check(got, kName, "cuda: the host has no {} bytes of pinned memory left", bytes);
  std::memset(numbers, 0, bytes);
  return static_cast<double*>(numbers);
}

// Kernels may write to them still.
void free_shared(double* numbers) noexcept {
  try {
    synchronize();
  } catch (...) {  // an earlier error, which the next call reports
  }
  static_cast<void>(cudaFreeHost(numbers));
}

constexpr DeviceSteps kSteps = {
    .begin = [] { return step_log().begin(); },
    .end = [] { step_log().end(); },
    .abandon = []() noexcept { step_log().abandon(); },
    .number = [] { return step_log().is_open() ? step_log().step() : 0; },
    .wait_for = [](std::uint64_t step) { step_log().wait_for(step); },
    .allocate_shared = allocate_shared,
    .free_shared = free_shared};

const bool kServed = [] {
  cuda_memory = &kMemory;
  cuda_steps = &kSteps;
  return true;
}();

}  // namespace

// Asked in this order, as CUDA names an old driver where there is none.
void check_usable() {
  constexpr int kNeeded =
      CUDART_VERSION / 1000 * 1000;  // any driver of the same major version does
  int driver = 0, count = 0;
  check_cuda(cudaDriverGetVersion(&driver), kName);
  check(driver != 0, kName, "cuda: no NVIDIA driver is installed");
  check(driver >= kNeeded, kName, "cuda: the driver is for CUDA {}, this build needs {}",
        version(driver), version(kNeeded));
  const cudaError_t error = cudaGetDeviceCount(&count);
  check(error != cudaErrorNoDevice, kName, "cuda: the driver knows no GPU");
  check_cuda(error, kName);
  check_has_kernels();
}

void check_cuda(cudaError_t error, const char* name) {
  if (error == cudaSuccess) [[likely]]
    return;
  check(error != cudaErrorMemoryAllocation, name, "cuda: {}; {}", cudaGetErrorString(error),
        kWayToLessMemory);
  fail(name, "cuda: {}", cudaGetErrorString(error));
}

bool has_memory(cudaError_t error) {
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // it is dealt with
    return false;
  }
  check_cuda(error, kName);
  return true;
}

bool got_memory(cudaError_t error) {
  const bool got = has_memory(error);
  if (got) ++counted().allocations;
  return got;
}

cudaStream_t stream() {
  static const cudaStream_t made = [] {
    check_usable();
    cudaStream_t stream = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), kName);
    return stream;
  }();
  return made;
}

std::recursive_mutex& device_lock() {
  static std::recursive_mutex* const lock = new std::recursive_mutex;
  return *lock;
}

DeviceCounts& counted() {
  static DeviceCounts counts;
  return counts;
}

void wait_if_asked(const char* name) {
  if (waits_for_each_launch()) check_cuda(cudaStreamSynchronize(stream()), name);
}

void synchronize() {
  const std::lock_guard lock(device_lock());
  step_log().interrupt();
  Traffic::add_sync();
  check_cuda(cudaStreamSynchronize(stream()), kName);
}

}  // namespace maskgrad::cuda
