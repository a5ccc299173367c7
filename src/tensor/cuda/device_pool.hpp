// Memory of the device that is handed out again: a training step that repeats asks for nothing.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

namespace maskgrad::cuda {

/// Blocks in the size classes of Pool, cut from slabs that come from cudaMalloc. A block that was
/// given back is handed out again at once: all work is in one stream, so the new owner's comes
/// behind the old one's. Of a class the block with the lowest address goes first. So steps that ask
/// for the same get the same addresses; with the last one first, addresses would come back every
/// other step.
///
/// When the device has no more memory, slabs of which no block is in use are given back to it.
/// Under AddressSanitizer, and with MASKGRAD_CUDA_POOL=0 in the environment, each block comes from
/// the device and goes back to it, so that tools see what is used after its end.
/// Called with device_lock() held.
class DevicePool {
 public:
  static constexpr std::size_t kAlignment = 256;  // bytes: of cudaMalloc, too

  /// Contents undefined. Throws std::bad_alloc when there is no more.
  void* allocate(std::size_t bytes);
  /// Gives back what allocate() returned.
  void free(void* block);
  /// To be called when what a step gave the device has been started.
  void end_step();

  /// A slab for another pool. Throws std::bad_alloc when there is no more.
  std::byte* ask(std::size_t bytes);

  /// Gives the device back what nobody uses. Waits for all work. No earlier step is replayed.
  void release_free_slabs();

  static bool reuses();
  std::size_t bytes_in_use() const { return bytes_in_use_; }

 private:
  struct Slab {
    std::byte* memory = nullptr;  // null when it was given back
    std::size_t bytes = 0, cut = 0;
    std::size_t in_use = 0;  // blocks
  };
  // What was ever cut stays as it is until its slab goes.
  struct Block {
    std::size_t slab, size, bytes;  // `bytes`: that were asked for last
  };

  std::byte* cut(std::size_t size);
  Slab& slab_with(std::size_t size);
  void* allocate_alone(std::size_t bytes);

  std::vector<Slab> slabs_;
  std::unordered_map<void*, Block> blocks_;
  // By size; heaps with the lowest address on top.
  std::unordered_map<std::size_t, std::vector<std::byte*>> free_;
  std::vector<void*> given_back_;  // in the step, where nothing is reused
  std::size_t bytes_in_use_ = 0;
};

DevicePool& device_pool();

}  // namespace maskgrad::cuda
