// A block of memory on a device, shared by the tensors that view it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <maskgrad/tensor/device.hpp>
#include <maskgrad/tensor/ref.hpp>

namespace maskgrad {

/// Memory of fixed size on one device, aligned to Pool::kAlignment. On the CPU it comes from the
/// pool.
class Storage final : public RefCounted {
 public:
  /// `bytes` bytes with undefined contents. Throws Error "[device] this build has no CUDA; ..." in
  /// a build without CUDA, Error for a CUDA device other than 0, and std::bad_alloc when the device
  /// has no more memory.
  static Ref<Storage> allocate(std::size_t bytes, Device device);
  /// Memory on a device other than the CPU that holds a copy of `bytes` bytes of the host, which
  /// may change as soon as the call returns. Throws as allocate().
  static Ref<Storage> upload(const void* from, std::size_t bytes, Device device);

  /// The address on device(). Only where that is a CPU may the host use it.
  std::byte* data() const { return data_; }
  Device device() const { return device_; }

  /// A number that changes when a write is noted; see Watched. It is odd while somebody watches.
  /// Writes are noted only then, so that loops on many threads otherwise only read this number.
  std::uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  /// From now on a write will be noted. Returns the version until then.
  std::uint32_t watch() {
    if (version() % 2 == 0) set_version(version() + 1);
    return version();
  }
  /// Somebody is about to write. Threads that write at once may count as one.
  void note_write() {
    if (version() % 2) set_version(version() + 1);
  }
  void set_version(std::uint32_t version) { version_.store(version, std::memory_order_relaxed); }

  // On the CPU header and data share one block of the pool; its size is kept in the header. For a
  // device the block holds the header alone.
  static void operator delete(Storage* storage, std::destroying_delete_t);

 private:
  Storage(std::byte* data, std::size_t block_bytes, Device device)
      : data_(data), block_bytes_(block_bytes), device_(device) {}

  template <class F>
  static Ref<Storage> on_device(Device device, F memory);

  std::byte* data_;
  std::size_t block_bytes_;
  Device device_;
  std::atomic<std::uint32_t> version_{0};
};

}  // namespace maskgrad
