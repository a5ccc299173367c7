#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/storage.hpp>

namespace maskgrad {

Ref<Storage> Storage::allocate(std::size_t bytes, Device device) {
  static_assert(sizeof(Storage) <= Pool::kAlignment);
  if (device.type == DeviceType::kCpu) {
    const std::size_t block_bytes = Pool::kAlignment + bytes;
    auto* block = static_cast<std::byte*>(Pool::cpu().allocate(block_bytes));
    return Ref<Storage>(new (block) Storage(block + Pool::kAlignment, block_bytes, device));
  }
  return on_device(device, [&] { return cuda_memory->allocate(bytes); });
}

Ref<Storage> Storage::upload(const void* from, std::size_t bytes, Device device) {
  return on_device(device, [&] { return cuda_memory->upload_new(from, bytes); });
}

// `memory` is what is asked for a block of the device's.
template <class F>
Ref<Storage> Storage::on_device(Device device, F memory) {
  need_cuda_build();
  check(device.index == 0, "device", "a process uses one CUDA device, not number {}", device.index);
  void* header = Pool::cpu().allocate(Pool::kAlignment);
  try {
    auto* data = static_cast<std::byte*>(memory());
    return Ref<Storage>(new (header) Storage(data, Pool::kAlignment, device));
  } catch (...) {
    Pool::cpu().deallocate(header, Pool::kAlignment);
    throw;
  }
}

void Storage::operator delete(Storage* storage, std::destroying_delete_t) {
  const std::size_t block_bytes = storage->block_bytes_;
  if (storage->device_.type != DeviceType::kCpu) cuda_memory->free(storage->data_);
  storage->~Storage();
  Pool::cpu().deallocate(storage, block_bytes);
}

}  // namespace maskgrad
