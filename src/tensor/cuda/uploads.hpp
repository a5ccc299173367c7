// What steps take from the host: it is gathered, and goes to the device in one copy.
//
// A step's uploads run ahead of its kernels, which are started together at its end. So they must
// not go to memory that an earlier kernel of the step still works on, as what the pool hands out
// may be. They have memory of their own, which is used again only when the step is over. For `.cu`
// files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/cuda/step_log.hpp>

namespace maskgrad::cuda {

/// Blocks on the device that were filled by the host within a step. Most are given back in the same
/// step, some live longer. Called with device_lock() held.
class Uploads {
 public:
  /// What of step kAhead before was copied from is written to again: it must be over.
  void begin_step(std::uint64_t step);
  /// A block that holds a copy of host memory as soon as flush() has run. Within a step. Throws
  /// std::bad_alloc.
  void* add(const void* from, std::size_t bytes);
  /// Copies what was added since.
  void flush();
  /// Blocks that were given back in the step are used again.
  void end_step();
  /// Gives back what add() returned. False for what it did not return.
  bool free(const void* block);

  /// Gives the device and the host slabs back of which no block is in use. Nothing that was copied
  /// from them may be under way.
  void release_free_slabs();

  std::size_t bytes_in_use() const { return bytes_in_use_; }

 private:
  enum class State { kFree, kUsed, kGivenBack };
  // Part of a slab.
  struct Block {
    std::size_t begin, end;
    State state;
  };
  struct Added {
    std::size_t begin, end, bytes;
  };
  // Memory of the device, and pinned memory in which it is made up, for one step after another.
  struct Slab {
    std::byte* device = nullptr;
    std::array<std::byte*, StepLog::kAhead> pinned{};
    std::size_t bytes = 0, next = 0;  // `next`: where the search for a place begins
    std::vector<Block> blocks;        // all of the slab, in order
    std::vector<Added> added;         // since the last copy
  };

  static Slab make_slab(std::size_t size);
  static std::optional<std::size_t> take(Slab& slab, std::size_t size);
  void copy(const Slab& slab, std::size_t begin, std::size_t end) const;

  std::vector<Slab> slabs_;
  std::size_t turn_ = 0, bytes_in_use_ = 0;
};

Uploads& uploads();

/// A block of the device that holds a copy of bytes of the host. cuda_memory->free() takes it back.
/// Throws Error "[device] cuda: ..." where there is no memory for it.
void* upload(const void* from, std::size_t bytes);

/// A copy of a value or of some elements on the device, for kernels that are launched while it
/// lives:
///   const Uploaded rate(factors);
///   launch(how, update_kernel, rate.data(), ...);
template <class T>
class Uploaded {
 public:
  explicit Uploaded(std::span<const T> values)
      : block_(upload(values.data(), values.size_bytes())) {
    static_assert(std::is_trivially_copyable_v<T>);
  }
  explicit Uploaded(const T& value) : Uploaded(std::span(&value, 1)) {}
  ~Uploaded() { cuda_memory->free(block_); }
  Uploaded(const Uploaded&) = delete;
  Uploaded& operator=(const Uploaded&) = delete;

  const T* data() const { return static_cast<const T*>(block_); }

 private:
  void* block_;
};

}  // namespace maskgrad::cuda
