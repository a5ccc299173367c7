#include <string>

#include <gtest/gtest.h>

#include <maskgrad/train/formats/crc32c.hpp>

namespace maskgrad {
namespace {

/// The definition, bit by bit.
std::uint32_t crc32c_by_definition(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

std::string some_bytes(std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 251));
  return bytes;
}

TEST(Crc32c, MatchesThePublishedVectors) {
  // RFC 3720 B.4, and the check value of the catalogue of CRCs.
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending.push_back(c);
  for (auto* crc : {crc32c, crc32c_portable}) {
    EXPECT_EQ(crc("", 0), 0U);
    EXPECT_EQ(crc("123456789", 0), 0xe3069283U);
    EXPECT_EQ(crc(std::string(32, '\0'), 0), 0x8a9136aaU);
    EXPECT_EQ(crc(std::string(32, '\xff'), 0), 0x62a8ab43U);
    EXPECT_EQ(crc(ascending, 0), 0x46dd794eU);
  }
}

TEST(Crc32c, AgreesWithItsDefinitionForEveryLengthAndAlignment) {
  const std::string bytes = some_bytes(100);
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t size = 0; size + begin <= bytes.size(); ++size) {
      const std::string_view part = std::string_view(bytes).substr(begin, size);
      ASSERT_EQ(crc32c(part), crc32c_by_definition(part)) << begin << " " << size;
      ASSERT_EQ(crc32c_portable(part), crc32c_by_definition(part)) << begin << " " << size;
    }
  }
}

TEST(Crc32c, ContinuesFromTheCrcOfWhatCameBefore) {
  const std::string bytes = some_bytes(60);
  const std::string_view all = bytes;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(crc32c(all.substr(cut), crc32c(all.substr(0, cut))), crc32c(all));
    EXPECT_EQ(crc32c_portable(all.substr(cut), crc32c_portable(all.substr(0, cut))), crc32c(all));
  }
}

TEST(Crc32c, MasksAsTfRecordDoes) {
  EXPECT_EQ(masked_crc32c("\x1a\x11"
                          "CRC test, one two"),
            0x5794d08aU);
}

}  // namespace
}  // namespace maskgrad
