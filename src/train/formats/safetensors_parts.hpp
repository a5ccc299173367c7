// What the reader and the writer of safetensors share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/formats/safetensors.hpp>

namespace maskgrad::safetensors_parts {

inline constexpr const char* kName = "safetensors";
inline constexpr std::string_view kMetadataKey = "__metadata__";
inline constexpr std::string_view kFormatKey = "format";
inline constexpr std::string_view kDigestKey = "maskgrad.crc32c";
inline constexpr std::string_view kNoDigest =
    "00000000";  // stands in the header while it is summed
inline constexpr std::size_t kLengthSize = 8;
inline constexpr std::uint64_t kMaxHeader = 100'000'000;

/// One tensor of a header, with where its data lie.
struct PlacedTensor {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin;
  std::uint64_t end;
};

/// A header that fits its file. Tensors are sorted by where they lie, then by name.
struct Layout {
  std::vector<PlacedTensor> tensors;
  Metadata metadata;
  std::vector<std::string> repeated_keys;
};

/// The length that the first eight bytes give the header of a file of `size` bytes. Throws Error
/// where the file has no room for it.
std::uint64_t header_length(std::string_view bytes, std::uint64_t size, const std::string& file);

/// What the header's text says of `data_size` bytes of data. Throws Error unless all of it is
/// right.
Layout read_layout(std::string_view text, std::uint64_t data_size, const std::string& file);

/// Where the digest's eight characters stand in a header's text as write_safetensors spells it;
/// nothing when it stands nowhere or twice.
std::optional<std::size_t> find_digest(std::string_view header);

/// The CRC-32C of the whole file, with kNoDigest in the place of the digest. `length` are the bytes
/// before the header.
std::uint32_t crc_without_digest(std::string_view length, std::string_view header, std::size_t at,
                                 std::span<const std::string_view> data);

/// Bits of a tensor; nothing when the product, taken in the shape's order, overflows.
template <class Dim>
std::optional<std::uint64_t> bits_needed(std::string_view dtype, const std::vector<Dim>& shape) {
  std::uint64_t bits = 1;
  bool overflow = false;
  for (const Dim dim : shape) overflow |= __builtin_mul_overflow(bits, dim, &bits);
  overflow |= __builtin_mul_overflow(bits, safetensors_bits(dtype), &bits);
  return overflow ? std::nullopt : std::optional(bits);
}

}  // namespace maskgrad::safetensors_parts
