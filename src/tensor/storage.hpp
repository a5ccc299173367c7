// A block of memory on a device, shared by the tensors that view it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <maskgrad/tensor/device.hpp>
#include <maskgrad/tensor/ref.hpp>

namespace maskgrad {

/// Memory of fixed size on one device, aligned to Pool::kAlignment: from the pool, or from the
/// device.
class Storage final : public RefCounted {
 public:
  /// Throws Error "[device] this build has no CUDA; ..." for a device that the build cannot serve,
  /// and std::bad_alloc when the device has no more.
  static Ref<Storage> allocate(std::size_t bytes, Device device);

  /// On `device()`: the host must not read through it elsewhere than on the CPU.
  std::byte* data() const { return data_; }
  Device device() const { return device_; }

  /// Another number after a write than before it, for who watches; see Watched. Odd while somebody
  /// watches: only then is a write noted, so that loops on many threads read this and no more.
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

  std::byte* data_;
  std::size_t block_bytes_;
  Device device_;
  std::atomic<std::uint32_t> version_{0};
};

}  // namespace maskgrad
