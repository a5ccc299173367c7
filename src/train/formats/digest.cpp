#include <charconv>

#include <fmt/format.h>

#include <maskgrad/train/formats/digest.hpp>
#include <maskgrad/train/formats/file.hpp>

namespace maskgrad {

Digest digest_of(std::string_view bytes) {
  Digest digest;
  digest.add(bytes);
  return digest;
}

Digest digest_of_file(const std::filesystem::path& path) {
  constexpr std::size_t kPiece = 1 << 16;
  Digest digest;
  InputFile file(path);
  std::string piece(kPiece, '\0');
  for (std::size_t got = kPiece; got == kPiece;) {
    got = file.read(piece.data(), kPiece);
    digest.add(std::string_view(piece).substr(0, got));
  }
  return digest;
}

std::string crc_text(std::uint32_t crc) { return fmt::format("{:08x}", crc); }

std::optional<std::uint32_t> parse_crc(std::string_view text) {
  std::uint32_t crc = 0;
  std::from_chars(text.data(), text.data() + text.size(), crc, 16);
  if (crc_text(crc) != text) return std::nullopt;
  return crc;
}

std::string to_string(const Digest& digest) {
  return fmt::format("{} bytes, crc32c {}", digest.bytes, crc_text(digest.crc));
}

std::optional<Digest> parse_digest(std::string_view text) {
  constexpr std::size_t kCrcSize = 8;
  Digest digest;
  std::from_chars(text.data(), text.data() + text.size(), digest.bytes);
  const auto crc = parse_crc(text.substr(text.size() - std::min(text.size(), kCrcSize)));
  if (!crc) return std::nullopt;
  digest.crc = *crc;
  if (to_string(digest) != text) return std::nullopt;
  return digest;
}

}  // namespace maskgrad
