#include <maskgrad/tensor/storage.hpp>

namespace maskgrad {

Ref<Storage> Storage::allocate(std::size_t bytes, Device device) {
  check(device.type == DeviceType::kCpu, "storage", "this build has no CUDA support");
  static_assert(sizeof(Storage) <= Pool::kAlignment);
  const std::size_t block_bytes = Pool::kAlignment + bytes;
  auto* block = static_cast<std::byte*>(Pool::cpu().allocate(block_bytes));
  return Ref<Storage>(new (block) Storage(block + Pool::kAlignment, block_bytes, device));
}

void Storage::operator delete(Storage* storage, std::destroying_delete_t) {
  const std::size_t block_bytes = storage->block_bytes_;
  storage->~Storage();
  Pool::cpu().deallocate(storage, block_bytes);
}

}  // namespace maskgrad
