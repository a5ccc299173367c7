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

}  // namespace maskgrad::ops::attention
