// The checksum of TFRecord and TensorBoard files.
#pragma once

#include <cstdint>
#include <string_view>

namespace maskgrad {

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720 B.4). `seed` is the CRC of the
/// bytes before these: crc32c(b, crc32c(a)) == crc32c(a + b).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

/// The same by tables only, as used where the processor has no instruction for it.
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t seed = 0);

/// ((c >> 15) | (c << 17)) + 0xa282ead8 of c = crc32c(bytes): what TFRecord stores, so that a CRC
/// over bytes that hold a CRC stays strong.
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace maskgrad
