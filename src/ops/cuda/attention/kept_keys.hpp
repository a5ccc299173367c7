// Which keys the rows of a mask keep, on a device. For `.cu` files. Internal to attention.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad::ops::attention {

/// The rows of an AttentionMask. Row (b, h, s) is number b * of_sample + h * of_head + s.
struct MaskRows {
  const std::int32_t* intervals;  // `each` of a row, two numbers each; null for a mask of bits
  const bool* bits;
  std::int64_t of_sample, of_head;
  int each, keys;

  __device__ std::int64_t row(std::int64_t b, std::int64_t h, std::int64_t s) const {
    return b * of_sample + h * of_head + s;
  }
};

/// Those of a mask on a device. The mask must live until the device has been given the kernel that
/// reads them.
inline MaskRows rows_of(const AttentionMask& mask, Device device) {
  const Tensor& rows = mask.rows_on(device);
  const bool is_bits = mask.form() == AttentionMask::Form::kBits;
  const Shape& shape = mask.shape();
  return {.intervals = is_bits ? nullptr : rows.device_data<std::int32_t>(),
          .bits = is_bits ? rows.device_data<bool>() : nullptr,
          .of_sample = shape[0] == 1 ? 0 : shape[1] * shape[2],
          .of_head = shape[1] == 1 ? 0 : shape[2],
          .each = is_bits ? 0 : mask.intervals_per_row(),
          .keys = static_cast<int>(shape[3])};
}

/// Those of one row, or none.
class KeptKeys {
 public:
  KeptKeys() = default;
  __device__ KeptKeys(const MaskRows& mask, std::int64_t row) {
    if (mask.bits) {
      bits_ = mask.bits + row * mask.keys;
      end_ = mask.keys;
      return;
    }
    const std::int32_t* const runs = mask.intervals + row * 2 * mask.each;
    begin_ = runs[0];
    end_ = runs[1];
    if (mask.each == 2) {
      next_begin_ = runs[2];
      next_end_ = runs[3];
    }
  }

  /// No key before it is kept, and none from end() on. Both 0 where none is.
  __device__ int begin() const { return begin_; }
  __device__ int end() const { return next_end_ > end_ ? next_end_ : end_; }

  __device__ bool keeps(int key) const {
    if (bits_) return bits_[key];
    return (begin_ <= key && key < end_) || (next_begin_ <= key && key < next_end_);
  }
  /// Bit j stands for key `first` + j, and is set where that is kept.
  __device__ std::uint32_t word(int first) const {
    return bits_ ? word_of_bits(first)
                 : word_of_run(begin_, end_, first) | word_of_run(next_begin_, next_end_, first);
  }

 private:
  // The lowest n bits.
  __device__ static std::uint32_t lowest(int n) {
    return n <= 0 ? 0 : n >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << n) - 1;
  }
  __device__ static std::uint32_t word_of_run(int begin, int end, int first) {
    return lowest(end - first) & ~lowest(begin - first);
  }
  __device__ std::uint32_t word_of_bits(int first) const {
    std::uint32_t word = 0;
    for (int j = 0; j < 32 && first + j < end_; ++j) word |= std::uint32_t{bits_[first + j]} << j;
    return word;
  }

  const bool* bits_ = nullptr;
  int begin_ = 0, end_ = 0, next_begin_ = 0, next_end_ = 0;
};

/// Which pairs of a tile are kept, in memory that the threads of a block share: a bit for each of
/// so many queries and keys. Some threads have a word of keys of a query.
template <int queries, int keys>
class KeptPairs {
 public:
  /// The query of this thread's word.
  __device__ static int own_query() { return static_cast<int>(threadIdx.x) % queries; }

  /// Finds the pairs with the keys from `first` on, and returns whether there are some. own: the
  /// keys of own_query(). Begins with a barrier. Where there are some, one must follow.
  __device__ bool find(const KeptKeys& own, int first) {
    const int number = static_cast<int>(threadIdx.x) / queries;
    const bool has_word = number < keys / 32;
    const std::uint32_t word = has_word ? own.word(first + number * 32) : 0;
    if (!__syncthreads_or(word != 0)) return false;
    if (has_word) words_[own_query()][number] = word;
    return true;
  }
  /// The same for `count` queries, of which the first is in this row of the mask.
  __device__ bool find(const MaskRows& mask, std::int64_t row, int count, int first) {
    const bool has_query = own_query() < count && threadIdx.x < queries * (keys / 32);
    return find(has_query ? KeptKeys(mask, row + own_query()) : KeptKeys(), first);
  }

  __device__ bool keeps(int query, int key) const { return from(query, key) & 1; }
  /// Those from a pair on: bit i stands for key + i, up to the next multiple of 32.
  __device__ std::uint32_t from(int query, int key) const {
    return words_[query][key / 32] >> key % 32;
  }

 private:
  std::uint32_t words_[queries][keys / 32];
};

}  // namespace maskgrad::ops::attention
