// The device's memory behind tensors, and the stream.
#include <new>

#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::cuda {
namespace {

constexpr const char* kName = "device";

// "12.4" of 12040.
std::string version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

void* allocate(std::size_t bytes) {
  void* block = nullptr;
  // At least one byte, as the memory of an empty tensor has an address too.
  const cudaError_t error = cudaMallocAsync(&block, bytes + (bytes == 0), stream());
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  check_cuda(error, kName);
  return block;
}

// Called by destructors. What can fail here is an earlier error, which the next call reports.
void release(void* block) { static_cast<void>(cudaFreeAsync(block, stream())); }

void upload(void* to, const void* from, std::size_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), kName);
}

void download(void* to, const void* from, std::size_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), kName);
  synchronize();
}

void copy(void* to, const void* from, std::size_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), kName);
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

constexpr DeviceMemory kMemory = {check_usable, allocate, release, upload, download, copy, fill};
const bool kServed = (cuda_memory = &kMemory) != nullptr;

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

void synchronize() { check_cuda(cudaStreamSynchronize(stream()), kName); }

}  // namespace maskgrad::cuda
