// Digests: the number of some bytes and their checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <maskgrad/train/formats/crc32c.hpp>

namespace maskgrad {

/// The length and the CRC-32C of some bytes. The bytes may be added piece by piece. A digest finds
/// damage. It does not protect against deliberate changes.
struct Digest {
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;

  void add(std::string_view more) {
    crc = crc32c(more, crc);
    bytes += more.size();
  }
  friend bool operator==(const Digest&, const Digest&) = default;
};

/// The digest of these bytes.
Digest digest_of(std::string_view bytes);

/// The digest of a file's bytes, read piece by piece. Throws Error as InputFile.
Digest digest_of_file(const std::filesystem::path& path);

/// Eight lower-case hexadecimal digits: "0a1b2c3d".
std::string crc_text(std::uint32_t crc);
/// The inverse; nothing for any other text.
std::optional<std::uint32_t> parse_crc(std::string_view text);

/// "1234 bytes, crc32c 0a1b2c3d".
std::string to_string(const Digest& digest);
/// The inverse; nothing for any other text.
std::optional<Digest> parse_digest(std::string_view text);

}  // namespace maskgrad
