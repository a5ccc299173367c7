// A block of memory on a device, shared by the tensors that view it.
#pragma once

#include <cstddef>
#include <new>

#include <maskgrad/tensor/device.hpp>
#include <maskgrad/tensor/ref.hpp>

namespace maskgrad {

/// Memory of fixed size on one device, aligned to Pool::kAlignment, from the device's pool.
class Storage final : public RefCounted {
 public:
  /// Throws Error "[storage] this build has no CUDA support" for a device it cannot serve.
  static Ref<Storage> allocate(std::size_t bytes, Device device);

  std::byte* data() const { return data_; }
  Device device() const { return device_; }

  // Header and data share one block of the pool; its size is kept in the header.
  static void operator delete(Storage* storage, std::destroying_delete_t);

 private:
  Storage(std::byte* data, std::size_t block_bytes, Device device)
      : data_(data), block_bytes_(block_bytes), device_(device) {}

  std::byte* data_;
  std::size_t block_bytes_;
  Device device_;
};

}  // namespace maskgrad
